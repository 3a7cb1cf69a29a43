"""Objects that params name beside an item's input: a key, or a file of one of the owner's uploads.

`owners/ann/styles/wave.jpg` is a key, `upl_<32 digits>/0/3` the upload's page 0, place 3; an upload's id
alone is its first file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.core.keys import UploadKeys, check_key
from pipeline.core.uploads import MAX_PAGE_FILES, MAX_PAGES

_UPLOADED = re.compile(r"^(upl_[0-9a-f]{32})(?:/([0-9]{1,6})/([0-9]{1,3}))?$", re.ASCII)


@dataclass(frozen=True)
class UploadedFile:
    """A file of an upload."""

    upload_id: str
    page: int
    place: int

    def __str__(self) -> str:
        return f"{self.upload_id}/{self.page}/{self.place}"


def uploaded_file(reference: str) -> UploadedFile | None:
    """The uploaded file that a reference names; None where it is a key."""
    found = _UPLOADED.fullmatch(reference)
    if found is None:
        return None
    return UploadedFile(found[1], int(found[2] or 0), int(found[3] or 0))


def nth_file(upload_id: str, number: int) -> UploadedFile:
    """The file that came as number so and so, from 0, in an upload of full pages."""
    page, place = divmod(number, MAX_PAGE_FILES)
    if page >= MAX_PAGES:
        raise ValueError(f"an upload has fewer than {number} files")
    return UploadedFile(upload_id, page, place)


def object_key(reference: str, owner: str, read_prefixes: Sequence[str]) -> str:
    """The key of what a reference names, if this owner may read it.

    Args:
        reference: A key, or a file of an upload of the owner's.
        owner: Whose job it is.
        read_prefixes: What the owner's API key reaches; own uploads are always in reach.

    Raises:
        InvalidInput: Not a usable key.
        Forbidden: Out of reach.
    """
    file = uploaded_file(reference)
    if file is None:
        return check_key(reference, tuple(read_prefixes))
    return UploadKeys(owner, file.upload_id).file(file.page, file.place)
