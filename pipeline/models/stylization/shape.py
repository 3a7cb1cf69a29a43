"""Sizes of the stylization networks, and how far they look."""

from __future__ import annotations

from dataclasses import dataclass

CELL_PX = 4  # one cell of the hidden state
STRIDE_PX = 8  # sides of a picture or tile are multiples of this


@dataclass(frozen=True)
class Shape:
    """Channels of the hidden state at 1/4, of the decoder's inner part at 1/8, blocks, size of a style.

    Attributes:
        channels: Of H1 and H2, on the grid of 1/4.
        deep_channels: Of the decoder on the grid of 1/8.
        tail_channels: Of the decoder at 1/2, before the last convolution.
        encoder_blocks: Residual blocks of the content encoder.
        deep_blocks: Residual blocks of the decoder at 1/8.
        style_size: Numbers in a style, its mean and spread (2 * channels) among them.
        colour_rank: Side of the matrix that mixes channels of H2.
    """

    channels: int = 64
    deep_channels: int = 96
    tail_channels: int = 16
    encoder_blocks: int = 2
    deep_blocks: int = 2
    style_size: int = 320
    colour_rank: int = 32


STANDARD = Shape()
FAST = Shape(channels=32, deep_channels=64, deep_blocks=3, style_size=192, colour_rank=16)


def encoder_halo_px(shape: Shape) -> int:
    """Pixels beyond its own cells, to each side, that a tile of H1 depends on; a multiple of STRIDE_PX."""
    reach = 2 + 2 + CELL_PX * 2 * shape.encoder_blocks
    return _whole_strides(reach)


def decoder_halo_px(shape: Shape) -> int:
    """The same for a tile of the output and H1."""
    tail, cells, aligned, deep = 2 + 2, CELL_PX * 6, STRIDE_PX - CELL_PX, STRIDE_PX * 2 * shape.deep_blocks
    return _whole_strides(tail + cells + aligned + deep)


def _whole_strides(reach_px: int) -> int:
    return -(-reach_px // STRIDE_PX) * STRIDE_PX
