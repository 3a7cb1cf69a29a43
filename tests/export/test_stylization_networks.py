"""What the stylization networks promise whatever their weights: seamless tiles, linear mixtures."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.models.stylization.model import StylizationModel
from pipeline.models.stylization.shape import (
    CELL_PX,
    FAST,
    STANDARD,
    STRIDE_PX,
    Shape,
    decoder_halo_px,
    encoder_halo_px,
)
from pipeline.models.stylization.style import statistics
from pipeline.training.photos import to_tensor
from tests.support.codec import landscape
from tests.support.stylization import SMALL, untrained

TILE_PX = 64


def picture(height_px: int, width_px: int, seed: int) -> Tensor:
    return to_tensor(landscape(height_px, width_px, seed)[None])


def ones(value: float) -> Tensor:
    return torch.full((1, 1), value)


@pytest.mark.parametrize("shape", [SMALL, FAST, STANDARD], ids=["small", "fast", "standard"])
def test_tiles_with_global_statistics_equal_the_whole(shape: Shape) -> None:
    """Every tile with its halo gives the pixels that the whole picture gives, to a thousandth of a level."""
    model = untrained(shape)
    x = picture(320, 448, 1)
    with torch.no_grad():
        style = model.style_encoder(picture(96, 96, 2))
        h1 = model.content_encoder(x)
        known = statistics(h1)
        whole = model.decoder(h1, known, (ones(0.3), ones(0.7)), style)
        tiles = torch.full_like(whole, torch.nan)
        for top in range(0, 320, TILE_PX):
            for left in range(0, 448, TILE_PX):
                tile = _tile(model, x, (top, left), known, style)
                tiles[:, :, top : top + TILE_PX, left : left + TILE_PX] = tile
    assert float((tiles - whole).abs().max()) < 1e-3 / 255


def _tile(
    model: StylizationModel, x: Tensor, corner: tuple[int, int], known: tuple[Tensor, Tensor], style: Tensor
) -> Tensor:
    """One tile, from no more pixels than the halos say that it needs."""
    top, left = corner
    inner, outer = decoder_halo_px(model.shape), encoder_halo_px(model.shape)
    decoded = _window(top, left, inner, x.shape)
    encoded = _window(top, left, inner + outer, x.shape)
    h1 = model.content_encoder(x[:, :, encoded[0] : encoded[1], encoded[2] : encoded[3]])
    cells = [(decoded[i] - encoded[i // 2 * 2]) // CELL_PX for i in range(4)]
    h1 = h1[:, :, cells[0] : cells[1], cells[2] : cells[3]]
    out: Tensor = model.decoder(h1, known, (ones(0.3), ones(0.7)), style)
    top, left = top - decoded[0], left - decoded[2]
    return out[:, :, top : top + TILE_PX, left : left + TILE_PX]


def _window(top: int, left: int, halo: int, size: torch.Size) -> tuple[int, int, int, int]:
    return (
        max(0, top - halo),
        min(size[2], top + TILE_PX + halo),
        max(0, left - halo),
        min(size[3], left + TILE_PX + halo),
    )


@pytest.mark.parametrize("shape", [SMALL, FAST, STANDARD], ids=["small", "fast", "standard"])
def test_the_halos_are_what_a_tile_depends_on(shape: Shape) -> None:
    """A pixel beyond both halos changes nothing at all, to either side; one three strides nearer does."""
    model = copy.deepcopy(untrained(shape)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.abs_()  # no path is cut by a ReLU, none cancels another
    reach = encoder_halo_px(shape) + decoder_halo_px(shape)
    first, last = 2 * reach, 2 * reach + STRIDE_PX  # the tile
    plain = _painted(model, torch.zeros(1, 3, 8, 5 * reach, dtype=torch.float64))
    for beyond, within in (
        (slice(0, first - reach), slice(0, first - reach + 3 * STRIDE_PX)),
        (slice(last + reach, None), slice(last + reach - 3 * STRIDE_PX, None)),
    ):
        for where, equal in ((beyond, True), (within, False)):
            x = torch.zeros(1, 3, 8, 5 * reach, dtype=torch.float64)
            x[:, :, :, where] = 1
            assert torch.equal(_painted(model, x)[..., first:last], plain[..., first:last]) == equal


def _painted(model: StylizationModel, x: Tensor) -> Tensor:
    style = x.new_zeros(1, model.shape.style_size)
    mean, spread = x.new_zeros(1, model.shape.channels), x.new_ones(1, model.shape.channels)
    with torch.no_grad():
        h1 = model.content_encoder(x + 0.5)
        out: Tensor = model.decoder(h1, (mean, spread), (x.new_ones(1, 1), x.new_zeros(1, 1)), style)
    return out


def test_a_mixture_of_styles_is_linear_until_the_first_block() -> None:
    """Half of each of two styles is the mean of their hidden states."""
    model = untrained(SMALL)
    mix = model.decoder.mix
    with torch.no_grad():
        h1 = model.content_encoder(picture(64, 64, 4))
        known = statistics(h1)
        styles = [model.style_encoder(picture(64, 64, seed)) for seed in (5, 6)]
        states = [
            mix(h1, known, ones(0.0), torch.cat([ones(1.0), style], dim=1))
            for style in (*styles, (styles[0] + styles[1]) / 2)
        ]
    assert torch.allclose(states[2], (states[0] + states[1]) / 2, atol=1e-4)


def test_without_beta_no_style_is_left() -> None:
    """At (1, 0) two styles give the same picture, and at (0, 1) they do not."""
    model = untrained(SMALL)
    content = picture(64, 96, 7)
    with torch.no_grad():
        plain = [model(content, picture(64, 64, seed), ones(1.0), ones(0.0)) for seed in (8, 9)]
        styled = [model(content, picture(64, 64, seed), ones(0.0), ones(1.0)) for seed in (8, 9)]
    assert torch.equal(plain[0], plain[1])
    assert float((styled[0] - styled[1]).abs().max()) > 1e-3


def test_a_style_is_its_statistics() -> None:
    """The style vector forgets where things are: a larger flat picture says nearly the same."""
    model = untrained(SMALL)
    flat = np.full((64, 64, 3), 90, np.uint8)
    with torch.no_grad():
        vector = model.style_encoder(to_tensor(flat[None]))
        larger = model.style_encoder(to_tensor(np.tile(flat, (2, 3, 1))[None]))
        other = model.style_encoder(picture(64, 64, 10))
    assert vector.shape == (1, SMALL.style_size)
    assert float((vector - larger).norm()) < 0.5 * float((vector - other).norm())


def test_painting_and_copying_together_change_nothing() -> None:
    """`paint_and_copy` gives what two passes give."""
    model = untrained(SMALL)
    content = torch.cat([picture(64, 64, seed) for seed in (11, 12)])
    style = torch.cat([picture(64, 64, seed) for seed in (13, 14)])
    alpha = torch.tensor([[0.0], [0.4]])
    with torch.no_grad():
        painted, copied = model.paint_and_copy(content, style, alpha, 1)
        expected = model(content, style, alpha, 1 - alpha)
        copy = model(content[:1], style[:1], ones(1.0), ones(0.0))
    assert torch.allclose(painted, expected, atol=1e-5)
    assert torch.allclose(copied, copy, atol=1e-5)


def test_painting_inside_uses_the_whole_pictures_statistics() -> None:
    """`paint_inside` is the decoder on the inner part with what is known of the whole."""
    model = untrained(SMALL)
    content, style = picture(96, 96, 15), picture(64, 64, 16)
    with torch.no_grad():
        inside = model.paint_inside(content, style, ones(0.25), 16)
        known = statistics(model.content_encoder(content))
        h1 = model.content_encoder(content[:, :, 16:-16, 16:-16])
        expected = model.decoder(h1, known, (ones(0.25), ones(0.75)), model.style_encoder(style))
    assert inside.shape == (1, 3, 64, 64)
    assert torch.equal(inside, expected)
