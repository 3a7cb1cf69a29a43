"""Whose models an installation runs: TRIPTYCH_ALLOW_TERMS against the licences that artifacts state."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeline.core.artifact import ArtifactManifest
from pipeline.core.errors import TermsNotAllowed


def check_terms(manifests: Iterable[ArtifactManifest], allowed: Sequence[str]) -> None:
    """Refuses models under terms that were not allowed.

    Args:
        manifests: Of the models that a job would use.
        allowed: Licences as manifests state them, with or without their "weights: "; case does not matter.
            None at all: everything is allowed.

    Raises:
        TermsNotAllowed: Names the model and its licence.
    """
    if not allowed:
        return
    known = {_plain(licence) for licence in allowed}
    for manifest in manifests:
        if _plain(manifest.terms.licence) not in known:
            raise TermsNotAllowed(
                f"the model {manifest.name!r} is under {manifest.terms.licence!r}, which this installation"
                f" does not allow (TRIPTYCH_ALLOW_TERMS has {', '.join(allowed)})"
            )


def _plain(licence: str) -> str:
    return licence.casefold().removeprefix("weights:").strip()
