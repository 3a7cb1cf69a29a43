"""Colour profiles made by hand (ICC.1:2022), so that tests know what they must do."""

from __future__ import annotations

import struct
from collections.abc import Mapping

import numpy as np

# Primaries adapted to D50, as in Apple's published Display P3 profile.
_P3_COLUMNS = {
    b"rXYZ": (0.51512, 0.2412, -0.00105),
    b"gXYZ": (0.29198, 0.69225, 0.04189),
    b"bXYZ": (0.1571, 0.06657, 0.78407),
}
_D50 = (0.9642, 1.0, 0.8249)
_TRC = (b"rTRC", b"gTRC", b"bTRC")


def display_p3() -> bytes:
    """Display P3: wider primaries than sRGB's, the same curve."""
    curve = b"para" + struct.pack(">IHH", 0, 3, 0) + _fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    tags = {name: _xyz(column) for name, column in _P3_COLUMNS.items()}
    return _profile(b"mntr", b"RGB ", b"XYZ ", {**tags, b"wtpt": _xyz(_D50), **dict.fromkeys(_TRC, curve)})


def linear_grey() -> bytes:
    """Grey whose values are proportional to light, so that sRGB must show it brighter."""
    curve = b"curv" + struct.pack(">II", 0, 0)
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"wtpt": _xyz(_D50), b"kTRC": curve})


def grey_printer() -> bytes:
    """A CMYK printer with four grey inks: whatever is printed through it comes out without colour."""
    corners = np.stack(np.meshgrid(*[[0, 1]] * 4, indexing="ij"), axis=-1).reshape(16, 4)
    lightness = (1 - corners[:, :3].mean(axis=1) * 0.8) * (1 - corners[:, 3])
    lab = np.stack([lightness * 255, np.full(16, 128), np.full(16, 128)], axis=-1).round().astype(np.uint8)
    identity = bytes(range(256))
    table = b"mft1" + struct.pack(">IBBBB", 0, 4, 3, 2, 0) + _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    table += identity * 4 + lab.tobytes() + identity * 3
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"wtpt": _xyz(_D50), b"A2B0": table})


def _fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _xyz(values: tuple[float, float, float]) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(*values)


def _profile(kind: bytes, space: bytes, connection: bytes, tags: Mapping[bytes, bytes]) -> bytes:
    table, body = struct.pack(">I", len(tags)), b""
    for name, value in tags.items():
        table += struct.pack(">4sII", name, 132 + 12 * len(tags) + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    header = struct.pack(
        ">II4s4s4s4s", 132 + 12 * len(tags) + len(body), 0, b"\x04\x30\0\0", kind, space, connection
    )
    header += bytes(12) + b"acsp" + bytes(28) + _fixed(*_D50)
    return header.ljust(128, b"\0") + table + body
