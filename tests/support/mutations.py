"""Damaged and hostile .tri files. As a command it tries many: `python -m tests.support.mutations 10000`."""

from __future__ import annotations

import random
import resource
import struct
import sys
import time
import zlib

from pipeline.codec.container import Extras
from pipeline.core.errors import TriptychError
from pipeline.core.operation import HandlerContext, ItemInput, Limits
from pipeline.inference.decompress import Decompressor
from pipeline.operations.decompress import DecompressParams
from tests.support.codec import artifact, codec, landscape

_HEADER_BYTES = 32
_SIZES = ((7, 9), (130, 90), (300, 500), (1000, 1000), (1, 2000))
_INTERESTING = (0, 1, 15, 16, 17, 255, 1023, 1024, 1025, 4096, 65535, 2**24, 2**31, 2**32 - 1)


def mutated(data: bytes, seed: int) -> bytes:
    """A variant of a file; the same for the same seed. In half of them the header's CRC is right."""
    chance = random.Random(seed)
    change = chance.choice((_truncate, _flip, _splice, _hostile_header, _hostile_header))
    changed = change(bytearray(data), chance)
    return bytes(_seal(changed) if chance.random() < 0.5 else changed)


def _truncate(data: bytearray, chance: random.Random) -> bytearray:
    return data[: chance.randrange(len(data))]


def _flip(data: bytearray, chance: random.Random) -> bytearray:
    for _ in range(chance.randint(1, 8)):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return data


def _splice(data: bytearray, chance: random.Random) -> bytearray:
    start, end = chance.randrange(len(data)), chance.randrange(len(data))
    return data[:start] + chance.randbytes(chance.randrange(40)) + data[end:]


def _hostile_header(data: bytearray, chance: random.Random) -> bytearray:
    for _ in range(chance.randint(1, 3)):
        kind = chance.randrange(4)
        if kind == 0:
            struct.pack_into("<I", data, chance.choice((8, 12)), chance.choice(_INTERESTING))
        elif kind == 1:
            data[chance.choice((5, 6, 7))] = chance.randrange(256)
        elif kind == 2:
            place = _HEADER_BYTES + 4 * chance.randrange(4)
            if place + 4 <= len(data):
                struct.pack_into("<I", data, place, chance.choice(_INTERESTING))
        else:
            struct.pack_into("<I", data, chance.choice((8, 12)), chance.randint(1, 2100))
    return data


def _seal(data: bytearray) -> bytearray:
    """Puts the CRC where a reader of the changed header looks for it."""
    if len(data) < _HEADER_BYTES:
        return data
    flags, width, height = struct.unpack_from("<HII", data, 6)
    tiles = -(-width // 1024) * -(-height // 1024)
    end = _HEADER_BYTES + 8 * (flags & 30).bit_count() + 4 * tiles
    if end + 4 <= len(data):
        struct.pack_into("<I", data, end, zlib.crc32(data[:end]))
    return data


def main(count: int) -> None:
    """Decodes `count` variants; prints what came of them, the slowest, and the process's peak memory."""
    limits = Limits(max_pixels=4_000_000)
    handler = Decompressor(HandlerContext("cpu", {"compression": artifact()}, limits))
    seeds = [
        codec().encode(landscape(*size), 20 + 15 * i, extras=Extras(icc=b"icc" * i, exif=b"exif")).to_bytes()
        for i, size in enumerate(_SIZES)
    ]
    handler.warm_up()
    outcomes: dict[str, int] = {}
    slowest = 0.0
    for seed in range(count):
        started = time.process_time()
        try:
            handler.run(ItemInput(mutated(seeds[seed % len(seeds)], seed), "x", DecompressParams()))
            outcome = "picture"
        except TriptychError as error:
            outcome = error.code
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        slowest = max(slowest, time.process_time() - started)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{outcomes}; slowest {slowest:.2f} CPU s; peak {peak_mb:.0f} MB")


if __name__ == "__main__":
    main(int(sys.argv[1]))
