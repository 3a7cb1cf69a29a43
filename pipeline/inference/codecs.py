"""Which codec decodes a file: the one whose model wrote it, loaded when the first such file comes."""

from __future__ import annotations

import threading
from collections import OrderedDict

from pipeline.core.errors import ArtifactNotFound
from pipeline.core.operation import HandlerContext, LoadedArtifact
from pipeline.inference.artifacts import find_codec_artifact
from pipeline.inference.tri_codec import TriCodec

KEPT = 4  # codecs of one process; the one used longest ago goes
Key = tuple[str, str, int]  # digest, device, index of the device


class Codecs:
    """Codecs on one device. Handlers of a process share what is loaded.

    Args:
        context: Names the device, what the job has pinned, and where other models can be found.
    """

    def __init__(self, context: HandlerContext) -> None:
        self._context = context
        self._find = context.find_artifact or find_codec_artifact

    def pinned(self) -> TriCodec:
        """The codec of the artifact that the job has pinned."""
        return self._loaded(self._context.artifacts["compression"])

    def of(self, model: bytes) -> TriCodec:
        """The codec of a file's model.

        Args:
            model: The first half of the artifact's digest, as it stands in the file.

        Raises:
            ArtifactNotFound: No such model anywhere; the message names it.
            ArtifactCorrupt: Its bytes do not match their digest.
        """
        start = model.hex()
        if codec := _KEPT.get(start, self._context):
            return codec
        for artifact in self._context.artifacts.values():
            if artifact.digest.startswith(start):
                return self._loaded(artifact)
        try:
            return self._loaded(self._find(start))
        except ArtifactNotFound as error:
            raise ArtifactNotFound(
                f"the file was written by model {start}, which is neither built in nor in the object store"
            ) from error

    def _loaded(self, artifact: LoadedArtifact) -> TriCodec:
        return _KEPT.load(artifact, self._context)


class _Kept:
    """The codecs that this process has loaded last: graphs and sessions take memory, so there are few."""

    def __init__(self) -> None:
        self._codecs: OrderedDict[Key, TriCodec] = OrderedDict()
        self._lock, self._loading = threading.Lock(), threading.Lock()

    def get(self, digest_start: str, context: HandlerContext) -> TriCodec | None:
        with self._lock:
            for key in self._codecs:
                if key[0].startswith(digest_start) and key[1:] == (context.device, context.device_index):
                    self._codecs.move_to_end(key)
                    return self._codecs[key]
        return None

    def load(self, artifact: LoadedArtifact, context: HandlerContext) -> TriCodec:
        with self._loading:  # two threads that meet the same new model load it once
            codec = self.get(artifact.digest, context)
            if codec is not None and (codec.can_encode or not artifact.is_whole):
                return codec
            codec = TriCodec.from_artifact(artifact, context.device, context.device_index)
            with self._lock:
                self._codecs[artifact.digest, context.device, context.device_index] = codec
                while len(self._codecs) > KEPT:
                    self._codecs.popitem(last=False)
        return codec


_KEPT = _Kept()
