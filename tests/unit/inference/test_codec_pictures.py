"""Pictures through the whole codec."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from pipeline.codec.container import parse
from pipeline.codec.tables import ProbabilityTables
from pipeline.core.errors import ArtifactNotFound, CorruptBitstream
from pipeline.inference.session import OrtSession
from pipeline.inference.tri_codec import TriCodec
from pipeline.metrics.psnr import psnr_db
from tests.support.codec import artifact, codec, landscape


def with_window(window_px: int, halo_px: int) -> TriCodec:
    """The built-in codec with another window or halo."""
    loaded = artifact()
    return TriCodec(
        OrtSession(loaded.path("encoder")),
        OrtSession(loaded.path("decoder")),
        ProbabilityTables.load(loaded.path("tables")),
        digest=loaded.digest,
        stride_px=8,
        halo_px=halo_px,
        window_px=window_px,
    )


def test_size_and_psnr_rise_with_quality() -> None:
    """Each step of ten costs bytes and buys decibels."""
    pixels = landscape(256, 384)
    sizes, psnrs = [], []
    for quality in (1, *range(10, 101, 10)):
        file = codec().encode(pixels, quality)
        sizes.append(len(file.to_bytes()))
        psnrs.append(psnr_db(pixels, codec().decode(file)[0]))
    assert sizes == sorted(set(sizes))
    assert psnrs == sorted(set(psnrs))
    assert psnrs[-1] > 38
    assert sizes[0] < 0.25 * sizes[-1]


def test_windows_leave_no_seam() -> None:
    """Windows with a halo give what one large window gives; without a halo they do not."""
    pixels = landscape(1100, 1160)
    whole, windows = with_window(2048, 24), codec()
    file, split = whole.encode(pixels, 60), windows.encode(pixels, 60)
    assert np.abs(len(file.to_bytes()) - len(split.to_bytes())) <= 16  # a symbol may round the other way
    expected, found = whole.decode(file)[0].astype(int), windows.decode(file)[0]
    assert np.abs(expected - found).max() <= 1
    assert (expected != found).mean() < 1e-4
    without_halo = with_window(1024, 0).decode(file)[0]
    assert np.abs(expected - without_halo).max() > 1


def test_encoding_is_deterministic_across_threads() -> None:
    """Four threads at once write the same bytes as one."""
    pixels = landscape(200, 333, seed=4)
    expected = codec().encode(pixels, 45).to_bytes()
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: codec().encode(pixels, 45).to_bytes(), range(12))) == {expected}


def test_alpha_and_grey_come_back() -> None:
    """Alpha without loss; a grey picture with three equal planes."""
    pixels = np.repeat(landscape(70, 90)[:, :, :1], 3, axis=2)
    alpha = np.random.default_rng(0).integers(0, 256, (70, 90), dtype=np.uint8)
    file = parse(codec().encode(pixels, 50, alpha=alpha, is_grey=True).to_bytes())
    decoded, decoded_alpha = codec().decode(file)
    assert decoded_alpha is not None
    assert np.array_equal(decoded_alpha, alpha)
    assert (decoded == decoded[:, :, :1]).all()
    assert (psnr_db(pixels, decoded) or 99) > 28


@pytest.mark.parametrize("value", [0, 255])
def test_extremes(value: int) -> None:
    """Black and white stay black and white, and cost a twentieth of their samples at most."""
    pixels = np.full((256, 256, 3), value, np.uint8)
    file = codec().encode(pixels, 75)
    assert np.abs(codec().decode(file)[0].astype(int) - value).mean() <= 4
    assert len(file.to_bytes()) * 20 < pixels.nbytes


def test_harsh_pictures_are_not_clipped() -> None:
    """Noise of full range at full quality has symbols that no table holds, and still comes back close."""
    pixels = np.random.default_rng(0).choice(np.array([0, 255], np.uint8), (64, 64, 3))
    file = codec().encode(pixels, 100)
    assert (psnr_db(pixels, codec().decode(file)[0]) or 99) > 5


def test_a_file_of_another_model_is_refused() -> None:
    """The message names both models."""
    file = replace(codec().encode(landscape(16, 16), 50), model=bytes(16))
    with pytest.raises(ArtifactNotFound, match="000000000000"):
        codec().decode(file)


def test_a_desynchronised_tile_is_noticed() -> None:
    """Symbols that are not those of the encoder are an error, never a wrong picture."""
    file = codec().encode(landscape(64, 64), 50)
    tile = replace(file.tiles[0], symbols_crc=file.tiles[0].symbols_crc ^ 1)
    with pytest.raises(CorruptBitstream, match="other symbols"):
        codec().decode(replace(file, tiles=(tile,)))
