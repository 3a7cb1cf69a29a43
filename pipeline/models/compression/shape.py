"""Sizes of the compression networks."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.models.blocks import STRIDE

LATENT_STRIDE = 16  # pixels a cell of y
HYPER_STRIDE = 64  # pixels a cell of z


@dataclass(frozen=True)
class Shape:
    """Channels of trunk, y, z, entropy parameters and context; blocks; anchors of the rate curves."""

    channels: int = 160
    latent_channels: int = 320
    hyper_channels: int = 96
    encoder_blocks: int = 4
    decoder_blocks: int = 5
    entropy_channels: int = 160
    context_channels: int = 128
    anchors: int = 8


def halo_px(blocks: int) -> int:
    """Pixels that g_a or g_s looks beyond a cell of y, rounded up to whole cells of y."""
    reach = (blocks + 1) * STRIDE
    return -(-reach // LATENT_STRIDE) * LATENT_STRIDE
