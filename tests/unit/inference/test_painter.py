"""The painter: windows are one picture, statistics are exact, brushes keep to their regions."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.codec.tiling import Box
from pipeline.core.artifact import built_in_directory
from pipeline.imaging.regions import regions_of
from pipeline.inference.painter import Brush, mirrored
from tests.benchmarks.style.painter import Painter as Reference
from tests.support.codec import landscape
from tests.support.stylize import gallery_picture, painter_of

PICTURE = landscape(330, 410)
WHOLE = painter_of()
WAVE, GLASS = (WHOLE.encode_style(gallery_picture(name, 256)) for name in ("wave", "glass"))
FULL = [Brush(WAVE, 0.0, 1.0)]


@pytest.mark.parametrize(("window_px", "kept_px"), [(128, 1 << 30), (128, 0), (200, 0), (1 << 14, 0)])
def test_windows_are_one_picture(window_px: int, kept_px: int) -> None:
    """Less than a grey level apart, whether features were kept or computed again."""
    expected = WHOLE.paint(WHOLE.study(PICTURE), FULL)
    windows = painter_of(window_px=window_px, kept_px=kept_px)
    study = windows.study(PICTURE)
    assert (study.features is None) == (kept_px == 0)
    difference = np.abs(windows.paint(study, FULL).astype(int) - expected)
    assert difference.max() <= 1  # a half that rounds the other way
    assert (difference > 0).mean() < 1e-4


def test_halos_are_needed() -> None:
    """The test above can fail: without a halo, windows show."""
    narrow = painter_of(window_px=128)
    narrow._at = narrow._at.__class__(**{**narrow._at.__dict__, "decoder_halo_px": 0, "encoder_halo_px": 0})
    expected = WHOLE.paint(WHOLE.study(PICTURE), FULL)
    assert np.abs(narrow.paint(narrow.study(PICTURE), FULL).astype(int) - expected).max() > 20


def test_without_a_margin_it_is_the_reference() -> None:
    """The benchmark's own loop over whole pictures, written apart, paints the same."""
    reference = Reference(built_in_directory("stylization"))
    picture = np.ascontiguousarray(PICTURE[:320, :400])
    plain = painter_of(margin_px=0)
    expected = reference.paint(picture[None], reference.style(gallery_picture("wave", 256)[None]))[0]
    difference = np.abs(plain.paint(plain.study(picture), FULL).astype(int) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-4


def test_statistics_are_those_of_the_picture() -> None:
    """Mean and deviation over every cell, from sums in float64."""
    plain = painter_of(window_px=64, margin_px=0)
    picture = np.ascontiguousarray(PICTURE[:320, :400])
    study = plain.study(picture)
    assert study.features is not None
    exact = study.features.astype(np.float64)
    assert np.allclose(study.mean, exact.mean(axis=(1, 2)), rtol=1e-6, atol=1e-7)
    assert np.allclose(study.spread, np.sqrt(exact.var(axis=(1, 2)) + 1e-5), rtol=1e-5)


def test_hidden_cells_do_not_count() -> None:
    """What nobody sees has no say in the statistics: another hidden half leaves the visible one as it was."""
    visible = np.zeros(PICTURE.shape[:2], bool)
    visible[:, :160] = True
    other = PICTURE.copy()
    other[:, 200:] = 255 - other[:, 200:]
    first, second = WHOLE.study(PICTURE, visible), WHOLE.study(other, visible)
    assert np.array_equal(first.mean, second.mean)
    assert np.array_equal(first.spread, second.spread)
    assert not np.array_equal(WHOLE.study(PICTURE).mean, WHOLE.study(other).mean)
    nothing = WHOLE.study(PICTURE, np.zeros_like(visible))
    assert np.array_equal(nothing.mean, WHOLE.study(PICTURE).mean)


def test_each_brush_keeps_to_its_region() -> None:
    """Far from where regions meet, each is what its style alone would paint; between them it goes over."""
    labels = np.zeros((33, 41), np.uint8)
    labels[:, 20:] = 1
    regions = regions_of([labels], (410, 330), feather_px=8, labels=2)
    study = WHOLE.study(PICTURE)
    brushes = [Brush(WAVE, 0.0, 1.0), Brush(GLASS, 0.0, 1.0)]
    mixed = WHOLE.paint(study, brushes, regions)
    left, right = (WHOLE.paint(study, [brush]) for brush in brushes)
    assert np.array_equal(mixed[:, :150], left[:, :150])
    assert np.array_equal(mixed[:, 260:], right[:, 260:])
    middle = mixed[:, 195:205].astype(int)
    assert np.abs(middle - left[:, 195:205]).mean() > 1
    assert np.abs(middle - right[:, 195:205]).mean() > 1
    windows = painter_of(window_px=96)
    tiled = windows.paint(windows.study(PICTURE), brushes, regions)
    assert np.abs(tiled.astype(int) - mixed).max() <= 1


def test_where_no_brush_paints_nothing_changes() -> None:
    """Windows without any weight are the picture's own; the networks are not asked."""
    mask = np.zeros((330, 410), np.uint8)
    mask[:100, :100] = 255
    windows = painter_of(window_px=96)
    painted = windows.paint(windows.study(PICTURE), FULL, regions_of([mask], (410, 330), feather_px=0))
    assert np.array_equal(painted[220:], PICTURE[220:])
    assert not np.array_equal(painted[:90, :90], PICTURE[:90, :90])


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (8, 8), (65, 7)])
def test_odd_sizes(shape: tuple[int, int]) -> None:
    """Pictures smaller than a stride, or thin as a line, are painted and can be styles."""
    picture = landscape(*shape)
    painted = WHOLE.paint(WHOLE.study(picture), FULL)
    assert painted.shape == picture.shape
    assert np.isfinite(WHOLE.encode_style(picture)).all()


def test_mirroring() -> None:
    """Beyond a border stands what lies before it, however far that goes."""
    row = np.repeat(np.arange(3, dtype=np.uint8)[None, :, None], 3, axis=2)
    assert mirrored(row, Box(0, -4, 1, 8))[0, :, 0].tolist() == [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0, 1]
    assert mirrored(row, Box(-2, 0, 2, 3)).shape == (4, 3, 3)
