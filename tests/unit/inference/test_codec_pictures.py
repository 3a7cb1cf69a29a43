"""Pictures through the whole codec."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from pipeline.codec.alpha import pack_alpha, unpack_alpha
from pipeline.codec.container import Extras, TriFile, parse
from pipeline.codec.tiling import Box
from pipeline.core.errors import ArtifactNotFound, CorruptBitstream
from pipeline.metrics.psnr import psnr_db
from tests.support.codec import codec, codec_of, landscape

HALO_PX = 48


@lru_cache(maxsize=1)
def wide() -> TriFile:
    """Six tiles."""
    return codec().encode(landscape(1040, 2070), 40)


@lru_cache(maxsize=1)
def wide_decoded() -> np.ndarray:
    return codec().decode(wide())


def test_size_and_psnr_rise_with_quality() -> None:
    """Each step of ten costs bytes and buys decibels; all are coded from one analysis."""
    pixels = landscape(256, 384)
    latent = codec().analyse(pixels)
    sizes, psnrs = [], []
    for quality in (1, *range(10, 101, 10)):
        file = codec().code(latent, quality)
        sizes.append(len(file.to_bytes()))
        psnrs.append(psnr_db(pixels, codec().decode(file)))
    assert sizes == sorted(set(sizes))
    assert psnrs == sorted(set(psnrs))
    assert psnrs[-1] > 38
    assert sizes[0] < 0.25 * sizes[-1]


def test_encode_is_analyse_and_code() -> None:
    """The same bytes either way; quality is 1 to 100."""
    pixels = landscape(70, 90)
    latent = codec().analyse(pixels)
    assert codec().code(latent, 30) == codec().encode(pixels, 30)
    for quality in (0, 101):
        with pytest.raises(ValueError, match="quality"):
            codec().code(latent, quality)


def test_windows_leave_no_seam() -> None:
    """Windows with a halo give what one large window gives; without a halo they do not."""
    pixels = landscape(600, 700)
    whole, windows = codec(), codec_of(window_px=256)
    file, split = whole.encode(pixels, 60), windows.encode(pixels, 60)
    assert abs(len(file.to_bytes()) - len(split.to_bytes())) <= 16  # a symbol may round the other way
    expected, found = whole.decode(file).astype(int), windows.decode(file)
    assert np.abs(expected - found).max() <= 1
    assert (expected != found).mean() < 1e-4
    without_halo = codec_of(window_px=256, halo_px=0).decode(file)
    assert np.abs(expected - without_halo).max() > 1


@pytest.mark.parametrize(
    "box",
    [
        Box(0, 0, 1, 1),
        Box(1000, 1000, 1040, 1100),
        Box(5, 1500, 77, 2070),
        Box(1039, 2069, 1040, 2070),
        Box(0, 0, 1040, 2070),
    ],
)
def test_a_region_is_cut_from_the_whole(box: Box) -> None:
    """A region decodes to what the whole picture holds there."""
    assert np.array_equal(codec().decode_region(wide(), box), wide_decoded()[box.slices()])


@pytest.mark.parametrize("box", [Box(0, 0, 0, 5), Box(-1, 0, 5, 5), Box(0, 0, 1041, 5), Box(9, 9, 5, 12)])
def test_impossible_regions_are_refused(box: Box) -> None:
    """Empty, or not inside the picture."""
    with pytest.raises(ValueError, match="region"):
        codec().decode_region(wide(), box)


def test_a_reduced_picture_is_the_picture_reduced() -> None:
    """1/8 of the size, rounded up, and within some levels of the mean of 8x8 pixels."""
    small = codec().decode_reduced(wide())
    assert small.shape == (130, 259, 3)
    means = wide_decoded()[:1040, :2064].reshape(130, 8, 258, 8, 3).mean(axis=(1, 3))
    assert np.sqrt(np.square(small[:, :258] - means).mean()) < 6


def test_damage_stays_in_its_tile_and_its_halo() -> None:
    """With the last tile damaged, what lies farther from it than the halo decodes as before."""
    tiles = list(wide().tiles)
    tiles[1] = tiles[1][:50] + bytes([tiles[1][50] ^ 4]) + tiles[1][51:]
    damaged = replace(wide(), tiles=tuple(tiles))
    left = Box(0, 0, 1040, 1024 - HALO_PX)
    assert np.array_equal(codec().decode_region(damaged, left), wide_decoded()[left.slices()])
    right = Box(0, 2048 + HALO_PX - 30, 1040, 2070)
    with pytest.raises(CorruptBitstream):
        codec().decode_region(damaged, right)
    with pytest.raises(CorruptBitstream):
        codec().decode(damaged)


def test_encoding_is_deterministic_across_threads() -> None:
    """Four threads at once write the same bytes as one."""
    pixels = landscape(200, 333, seed=4)
    expected = codec().encode(pixels, 45).to_bytes()
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: codec().encode(pixels, 45).to_bytes(), range(12))) == {expected}


def test_batches_change_no_bit() -> None:
    """Tiles that run together give the bytes and the pixels that they give alone."""
    together = codec_of(max_batch=8)
    assert together.encode(landscape(1040, 2070), 40) == wide()
    assert np.array_equal(together.decode(wide()), wide_decoded())


def test_extras_and_grey_come_back() -> None:
    """Extras byte for byte, alpha without loss; a grey picture with three equal planes."""
    pixels = np.repeat(landscape(70, 90)[:, :, :1], 3, axis=2)
    alpha = np.random.default_rng(0).integers(0, 256, (70, 90), dtype=np.uint8)
    extras = Extras(alpha=pack_alpha(alpha), icc=b"icc", exif=b"exif", preview=b"preview")
    file = parse(codec().encode(pixels, 50, is_grey=True, extras=extras).to_bytes())
    assert file.extras == extras
    assert np.array_equal(unpack_alpha(file.extras.alpha or b"", 70, 90), alpha)
    decoded = codec().decode(file)
    assert (decoded == decoded[:, :, :1]).all()
    assert (psnr_db(pixels, decoded) or 99) > 28
    small = codec().decode_reduced(file)
    assert (small == small[:, :, :1]).all()


@pytest.mark.parametrize("value", [0, 255])
def test_extremes(value: int) -> None:
    """Black and white stay black and white, and cost a twentieth of their samples at most."""
    pixels = np.full((256, 256, 3), value, np.uint8)
    file = codec().encode(pixels, 75)
    assert np.abs(codec().decode(file).astype(int) - value).mean() <= 4
    assert len(file.to_bytes()) * 20 < pixels.nbytes


def test_harsh_pictures_are_not_clipped() -> None:
    """Noise of full range at full quality has symbols that no table holds, and still comes back close."""
    pixels = np.random.default_rng(0).choice(np.array([0, 255], np.uint8), (64, 64, 3))
    file = codec().encode(pixels, 100)
    assert file.tiles[0][0] > 0  # escapes
    assert (psnr_db(pixels, codec().decode(file)) or 99) > 5


def test_a_file_of_another_model_is_refused() -> None:
    """The message names both models."""
    file = replace(codec().encode(landscape(16, 16), 50), model=bytes(16))
    for decode in (codec().decode, codec().decode_reduced):
        with pytest.raises(ArtifactNotFound, match="000000000000"):
            decode(file)
