"""Sizes of the compression networks."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.models.blocks import STRIDE

LATENT_STRIDE = 16  # pixels a cell of y
HYPER_STRIDE = 64  # pixels a cell of z


@dataclass(frozen=True)
class Shape:
    """Channels of trunk, y, z, entropy parameters and context; blocks; anchors of the rate curves.

    Attributes:
        head_side: Of g_a's last kernel, 2 or 3. A third row and column cost 7 % of g_a's time.
    """

    channels: int = 160
    latent_channels: int = 320
    hyper_channels: int = 96
    encoder_blocks: int = 4
    decoder_blocks: int = 4
    entropy_channels: int = 160
    context_channels: int = 128
    anchors: int = 8
    head_side: int = 2


def halo_px(shape: Shape) -> int:
    """Pixels that g_a and g_s look beyond a cell of y, at most, rounded up to whole cells of y."""
    reach = max(shape.encoder_blocks + shape.head_side - 2, shape.decoder_blocks) * STRIDE
    return -(-reach // LATENT_STRIDE) * LATENT_STRIDE
