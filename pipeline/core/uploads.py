"""What an upload's pages hold: `UploadKeys.page(n)`, a JSON object of names and sizes, as declared.

Place n of a page is the object `UploadKeys.file(page, n)`. The items of an upload are its files by page,
then by place.
"""

from __future__ import annotations

import re
import secrets
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from pipeline.core.errors import UploadNotFound

UPLOAD_ID = re.compile(r"^upl_[0-9a-f]{32}$", re.ASCII)
MAX_PAGE_FILES = 1000
MAX_PAGES = 1_000_000  # six digits in the key

FileName = Annotated[str, StringConstraints(min_length=1, max_length=1024)]


class UploadFile(BaseModel):
    """A file that a client declared.

    Attributes:
        name: The user's own name for it; never a key, never a path to open.
        size_bytes: The size that its object must have.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: FileName = Field(examples=["holiday/0001.jpg"])
    size_bytes: int = Field(ge=0, examples=[183_022])


class UploadPage(BaseModel):
    """One page of an upload."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={"examples": [{"files": [{"name": "holiday/0001.jpg", "size_bytes": 183022}]}]},
    )

    files: list[UploadFile] = Field(min_length=1, max_length=MAX_PAGE_FILES)


def new_upload_id() -> str:
    """An id that nobody can guess."""
    return f"upl_{secrets.token_hex(16)}"


def check_upload_id(upload_id: str) -> str:
    """Raises UploadNotFound unless it has the form of an upload id: it becomes a part of keys."""
    if not UPLOAD_ID.fullmatch(upload_id):
        raise UploadNotFound(f"no upload {upload_id[:80]!r}")
    return upload_id
