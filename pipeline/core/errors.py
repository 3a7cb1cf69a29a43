"""The error tree. Every error that Triptych raises on purpose is a leaf of it.

    TriptychError
    ├ InvalidInput            the user's doing; never retried
    │ ├ InvalidParams         InvalidManifest    UnsupportedSteps   InvalidCursor
    │ ├ UnsupportedFormat     UndecodableImage   ImageTooLarge      InputTooLarge
    │ ├ InputMissing          OutputExists       CorruptBitstream   UnknownOperation
    │ ├ TargetUnreachable     BodyTooLarge
    │ ├ UndecodableAudio      AudioTooLong       SilentAudio        UnsupportedByModel
    │ └ UnusableObject        MaskMismatch      UnusableCheckpoint
    ├ AccessDenied            Unauthenticated, Forbidden, TermsNotAllowed
    ├ NotFound                JobNotFound, UploadNotFound, ObjectNotFound, ArtifactNotFound
    ├ Conflict                IllegalTransition, JobNotFinished, IdempotencyMismatch, ObjectExists
    ├ Transient (retryable)   StorageUnavailable, BrokerUnavailable, DeviceOutOfMemory, EndpointUnavailable,
    │                         SearchUnanswered
    └ Fault                   ours: ArtifactCorrupt, ProviderUnavailable, WorkerLost, InternalError,
                              Undeliverable, ParityError, EndpointRefused, ProgramMissing,
                              StoreUnsuitable, DeviceFailed

`code` is stable: it stands in result lines, problem documents and metrics. Nothing here knows HTTP or
Celery; `api/errors.py` and `workers/retry.py` each hold one table. Third-party exceptions become one of
these once, at the adapter that met them.
"""

from __future__ import annotations

from typing import ClassVar


class TriptychError(Exception):
    """Root of the tree. The first argument is a sentence for the user."""

    code: ClassVar[str] = "internal_error"
    retryable: ClassVar[bool] = False

    @property
    def message(self) -> str:
        return str(self.args[0]) if self.args else (self.__doc__ or self.code).strip()


# -- the user's doing -------------------------------------------------------------------------------
class InvalidInput(TriptychError):
    """The input cannot be used."""

    code = "invalid_input"


class InvalidParams(InvalidInput):
    """A parameter is missing, unknown or out of range."""

    code = "invalid_params"


class InvalidManifest(InvalidInput):
    """A line of the manifest is not what it should be."""

    code = "invalid_manifest"


class UnsupportedSteps(InvalidInput):
    """The list of steps cannot be run."""

    code = "unsupported_steps"


class InvalidCursor(InvalidInput):
    """The cursor is not one that this job gave out."""

    code = "invalid_cursor"


class UnknownOperation(InvalidInput):
    """No operation of that name."""

    code = "unknown_operation"


class UnsupportedFormat(InvalidInput):
    """The bytes are none of the accepted formats."""

    code = "unsupported_format"


class UndecodableImage(InvalidInput):
    """The image is damaged or cut short."""

    code = "undecodable_image"


class ImageTooLarge(InvalidInput):
    """The image has more pixels or frames than allowed."""

    code = "image_too_large"


class InputTooLarge(InvalidInput):
    """The input object has more bytes than allowed."""

    code = "input_too_large"


class InputMissing(InvalidInput):
    """The input object does not exist."""

    code = "input_missing"


class OutputExists(InvalidInput):
    """Another object stands where the output should go; nothing was overwritten."""

    code = "output_exists"


class CorruptBitstream(InvalidInput):
    """The .tri file is damaged, cut short or made by something else."""

    code = "corrupt_bitstream"


class TargetUnreachable(InvalidInput):
    """No quality is small enough, or none is close enough to the original."""

    code = "target_unreachable"


class UnusableObject(InvalidInput):
    """An object that the params name (a style, a mask) is missing, or is not what it should be."""

    code = "unusable_object"


class MaskMismatch(InvalidInput):
    """The mask does not fit the picture or the styles."""

    code = "mask_mismatch"


class UndecodableAudio(InvalidInput):
    """The sound is damaged, cut short or empty."""

    code = "undecodable_audio"


class AudioTooLong(InvalidInput):
    """The sound is longer, or has more samples, than allowed."""

    code = "audio_too_long"


class SilentAudio(InvalidInput):
    """There is nothing to hear in the sound."""

    code = "silent_audio"


class UnsupportedByModel(InvalidInput):
    """The model that the job names cannot do that."""

    code = "unsupported_by_model"


class UnusableCheckpoint(InvalidInput):
    """The folder is not a checkpoint that can be imported: of another model, incomplete or damaged."""

    code = "unusable_checkpoint"


class BodyTooLarge(InvalidInput):
    """The request body is over the limit."""

    code = "body_too_large"


# -- who may do what --------------------------------------------------------------------------------
class AccessDenied(TriptychError):
    """Not allowed."""

    code = "access_denied"


class Unauthenticated(AccessDenied):
    """An API key is needed, and the one given (if any) is not known."""

    code = "unauthenticated"


class Forbidden(AccessDenied):
    """This API key does not reach that key or place."""

    code = "forbidden"


class TermsNotAllowed(AccessDenied):
    """This installation does not allow a model under such terms."""

    code = "terms_not_allowed"


# -- what is not there ------------------------------------------------------------------------------
class NotFound(TriptychError):
    """No such thing."""

    code = "not_found"


class JobNotFound(NotFound):
    """No job of that id."""

    code = "job_not_found"


class UploadNotFound(NotFound):
    """No upload of that id."""

    code = "upload_not_found"


class ObjectNotFound(NotFound):
    """No object under that key."""

    code = "object_not_found"


class ArtifactNotFound(NotFound):
    """No artifact of that name and digest."""

    code = "artifact_not_found"


# -- what stands in the way -------------------------------------------------------------------------
class Conflict(TriptychError):
    """The present state does not allow that."""

    code = "conflict"


class IllegalTransition(Conflict):
    """A job in this state cannot go to that one."""

    code = "illegal_transition"


class JobNotFinished(Conflict):
    """The job has not ended yet."""

    code = "job_not_finished"


class IdempotencyMismatch(Conflict):
    """The same Idempotency-Key came with another body before."""

    code = "idempotency_mismatch"


class ObjectExists(Conflict):
    """An object already stands under that key (a conditional put lost)."""

    code = "object_exists"


# -- what passes ------------------------------------------------------------------------------------
class Transient(TriptychError):
    """Something was out of reach; trying again may help."""

    code = "transient"
    retryable = True


class StorageUnavailable(Transient):
    """The object store did not answer."""

    code = "storage_unavailable"


class BrokerUnavailable(Transient):
    """Redis did not answer."""

    code = "broker_unavailable"


class DeviceOutOfMemory(Transient):
    """The device had no memory left."""

    code = "device_out_of_memory"


class EndpointUnavailable(Transient):
    """The remote model did not answer, or had too much to do."""

    code = "endpoint_unavailable"


class SearchUnanswered(Transient):
    """No worker has answered the search in time."""

    code = "search_unanswered"


# -- our doing --------------------------------------------------------------------------------------
class Fault(TriptychError):
    """A defect or a wrong set-up on our side."""

    code = "fault"


class InternalError(Fault):
    """An unexpected error; the log has the details."""

    code = "internal_error"


class ArtifactCorrupt(Fault):
    """An artifact's bytes do not match its manifest."""

    code = "artifact_corrupt"


class ProviderUnavailable(Fault):
    """The execution provider that was asked for is not there."""

    code = "provider_unavailable"


class DeviceFailed(Fault):
    """The device answers no call of this process any more."""

    code = "device_failed"


class StoreUnsuitable(Fault):
    """The object store lacks something that nothing works without."""

    code = "store_unsuitable"


class WorkerLost(Fault):
    """Workers died over this item again and again."""

    code = "worker_lost"


class Undeliverable(Fault):
    """Messages for this job were sent five times and never begun."""

    code = "undeliverable"


class ParityError(Fault):
    """An exported graph does not compute what the trained network computes."""

    code = "parity_error"


class EndpointRefused(Fault):
    """The remote model refused, or answered what nobody can read."""

    code = "endpoint_refused"


class ProgramMissing(Fault):
    """A program that this needs is not installed on the worker."""

    code = "program_missing"


def leaves(root: type[TriptychError] = TriptychError) -> list[type[TriptychError]]:
    """Every class of the tree, root first: tables are tested against this list."""
    return [root, *(leaf for child in root.__subclasses__() for leaf in leaves(child))]
