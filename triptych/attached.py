"""Local files in params (styles, masks): uploaded, and named by their place in the upload."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from triptych import uploads
from triptych.local import LocalFile, look_at
from triptych.transport import Transport


async def attach(transport: Transport, params: Mapping[str, Any]) -> dict[str, Any]:
    """The params with every path in them uploaded; strings stay what they are, keys or names.

    Args:
        transport: The connection.
        params: Values may be paths (`os.PathLike`), or lists of which some are.

    Raises:
        OSError: A file cannot be read.
        ApiError, Unreachable: As for any upload.
    """
    paths = dict.fromkeys(os.fspath(value) for value in _values(params) if isinstance(value, os.PathLike))
    if not paths:
        return dict(params)
    files = [_readable(look_at(path)) for path in paths]
    upload = await uploads.upload(transport, files)
    for place, why in upload.unsent.items():
        raise OSError(f"{files[place].name}: {why}")
    names = {path: upload.file(number) for number, path in enumerate(paths)}
    return {name: _named(value, names) for name, value in params.items()}


def _values(params: Mapping[str, Any]) -> list[Any]:
    return [
        part
        for value in params.values()
        for part in (value if isinstance(value, (list, tuple)) else (value,))
    ]


def _named(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, (list, tuple)):
        return [_named(part, names) for part in value]
    return names[os.fspath(value)] if isinstance(value, os.PathLike) else value


def _readable(file: LocalFile) -> LocalFile:
    if file.error:
        raise OSError(f"{file.name}: {file.error}")
    return file
