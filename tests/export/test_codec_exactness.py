"""Symbols are the same whatever computes them: the exactness that files depend on.

TRIPTYCH_TEST_PHOTOS may name folders of photographs (separated as in PATH); all of them are then tried
instead of pictures that are made here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from pipeline.codec.container import TriFile
from pipeline.core.operation import Limits
from pipeline.imaging.decode import decode_image
from pipeline.inference.session import OrtSession
from pipeline.inference.tile_networks import TileNetworks
from pipeline.inference.tri_codec import CELL_PX, TriCodec
from tests.support.codec import Options, artifact, codec, codec_of, landscape

LEVELS = onnxruntime.GraphOptimizationLevel
SETUPS = [
    (threads, level)
    for threads in (1, 2, 4)
    for level in (
        LEVELS.ORT_DISABLE_ALL,
        LEVELS.ORT_ENABLE_BASIC,
        LEVELS.ORT_ENABLE_EXTENDED,
        LEVELS.ORT_ENABLE_ALL,
    )
]


def pictures() -> Iterator[np.ndarray]:
    """Photographs of TRIPTYCH_TEST_PHOTOS, or pictures made here."""
    folders = os.environ.get("TRIPTYCH_TEST_PHOTOS")
    if folders is None:
        yield from (landscape(130, 200), landscape(64, 330, seed=1), landscape(1040, 90, seed=2))
        yield np.random.default_rng(0).integers(0, 256, (70, 80, 3), dtype=np.uint8)
        return
    for folder in folders.split(os.pathsep):
        for path in sorted(Path(folder).iterdir()):
            if path.suffix.lower() in {".png", ".jpg", ".jpeg", ".webp"}:
                yield decode_image(path.read_bytes(), Limits()).pixels


@lru_cache(maxsize=1)
def coded() -> list[TriFile]:
    """Every picture at one quality each, low and high in turn."""
    qualities = (8, 50, 93, 28, 72)
    return [codec().encode(pixels, qualities[i % len(qualities)]) for i, pixels in enumerate(pictures())]


def options(threads: int, level: LEVELS) -> Options:
    made = Options()
    made.intra_op_num_threads, made.graph_optimization_level = threads, level
    made.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return made


def y_hats(networks: TileNetworks, file: TriFile) -> list[np.ndarray]:
    """y_hat of every tile; decoding verifies the CRC of all symbols."""
    rows, columns = -(-file.height_px // CELL_PX), -(-file.width_px // CELL_PX)
    found = []
    tiles = [
        (min(64, rows - top), min(64, columns - left))
        for top in range(0, rows, 64)
        for left in range(0, columns, 64)
    ]
    for payload, (height, width) in zip(file.tiles, tiles, strict=True):
        found += networks.decode([payload], height, width, file.quality)
    return found


@lru_cache(maxsize=1)
def expected() -> list[list[np.ndarray]]:
    return [y_hats(codec().tile_networks, file) for file in coded()]


@pytest.mark.timeout(7200)
@pytest.mark.parametrize(("threads", "level"), SETUPS)
def test_symbols_are_the_same_everywhere(threads: int, level: LEVELS) -> None:
    """Any threads, every level of graph optimisation: each file decodes, to the same y_hat bit for bit."""
    other = codec_of(options=options(threads, level))
    for file, known in zip(coded(), expected(), strict=True):
        for one, another in zip(known, y_hats(other.tile_networks, file), strict=True):
            assert np.array_equal(one, another)


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("threads", [2, 4])
def test_encoding_does_not_depend_on_threads(threads: int) -> None:
    """On one set-up the same picture gives the same bytes with any number of threads."""
    other = codec_of(options=options(threads, LEVELS.ORT_ENABLE_ALL))
    for pixels, file in zip(pictures(), coded(), strict=True):
        assert other.encode(pixels, file.quality) == file


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("count", [2, 3])
def test_batches_change_no_symbol(count: int) -> None:
    """A file's tile decodes the same beside other tiles of its shape as alone, and is coded the same."""
    networks = codec().tile_networks
    for file, known in zip(coded(), expected(), strict=True):
        y_hat = known[0]
        rows, columns = y_hat.shape[1] // 2, y_hat.shape[2] // 2
        for found in networks.decode([file.tiles[0]] * count, rows, columns, file.quality):
            assert np.array_equal(found, y_hat)


@pytest.mark.timeout(7200)
def test_pixels_differ_by_one_level_at_most() -> None:
    """The float decoder without graph optimisation: one level, in fewer than one of 10,000 samples."""
    other: TriCodec = codec_of(options=options(1, LEVELS.ORT_DISABLE_ALL))
    differing = total = 0
    for file in coded():
        one, another = codec().decode(file).astype(int), other.decode(file)
        assert np.abs(one - another).max() <= 1
        differing, total = differing + int((one != another).sum()), total + one.size
    assert differing < 1e-4 * total


@pytest.mark.timeout(7200)
def test_another_set_up_writes_nearly_the_same() -> None:
    """Files of an encoder without graph optimisation: sizes within 0.1 % and 4 bytes; all decode here."""
    other = codec_of(options=options(1, LEVELS.ORT_DISABLE_ALL))
    for pixels, file in zip(pictures(), coded(), strict=True):
        written = other.encode(pixels, file.quality)
        sizes = len(written.to_bytes()), len(file.to_bytes())
        assert abs(sizes[0] - sizes[1]) <= 0.001 * sizes[1] + 4
        assert codec().decode(written).shape == pixels.shape


@pytest.mark.gpu
@pytest.mark.timeout(7200)
def test_cuda_reads_the_same_symbols() -> None:
    """Files written on the CPU decode on CUDA to the same y_hat, and the other way round."""
    cuda = TriCodec.from_artifact(artifact(), "cuda")
    assert OrtSession(artifact().path("parameters"), "cuda").provider == "CUDAExecutionProvider"
    for pixels, file, known in zip(pictures(), coded(), expected(), strict=True):
        for one, another in zip(known, y_hats(cuda.tile_networks, file), strict=True):
            assert np.array_equal(one, another)
        written = cuda.encode(pixels, file.quality)
        for one, another in zip(
            y_hats(codec().tile_networks, written), y_hats(cuda.tile_networks, written), strict=True
        ):
            assert np.array_equal(one, another)
