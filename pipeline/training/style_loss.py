"""Losses of stylization: content and style as VGG sees them, and what keeps the output a clean picture.

Content: squared error of relu4_1 (of the compressed VGG). Style: squared error of each channel's mean and
standard deviation at relu1_1 to relu4_1 (Huang and Belongie, ICCV 2017).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.training.channel_statistics import channel_statistics
from pipeline.training.loss_network import load_full, load_small

SHALLOW = ("11", "21", "31")
CONTENT = "41"

# Brings the compressed layers' statistics to the size of the full ones' (measured on paintings and photos).
_SMALL_SCALE = {"21": 1.28, "31": 1.34}


@dataclass(frozen=True)
class Look:
    """What the loss networks see of a batch: relu4_1, and mean and deviation of each layer, (B, C)."""

    content: Tensor
    statistics: dict[str, tuple[Tensor, Tensor]]


class Perception(nn.Module):
    """The loss networks.

    Args:
        directory: With the folders `vgg19_normalised` and `vgg19_small16x`.
        dtype: float32 to judge, bfloat16 to train in half the time.
    """

    def __init__(self, directory: Path, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.full = load_full(directory / "vgg19_normalised", dtype)
        self.small = load_small(directory / "vgg19_small16x", dtype=dtype)

    def look(self, x: Tensor, *, full: bool) -> Look:
        """Looks at images.

        Args:
            x: RGB around [0, 1], (B, 3, H, W).
            full: Whether relu2_1 and relu3_1 are of the full VGG, or of the compressed one (much cheaper).
        """
        if full:
            shallow = self.full(x, SHALLOW)
            deep = self.small(x, (CONTENT,))
        else:
            shallow = self.full(x, SHALLOW[:1])
            deep = self.small(x, (*SHALLOW[1:], CONTENT), widen=SHALLOW[1:])
            shallow |= {name: deep[name] * scale for name, scale in _SMALL_SCALE.items()}
        found = {name: channel_statistics(features) for name, features in shallow.items()}
        return Look(deep[CONTENT].float(), found | {CONTENT: channel_statistics(deep[CONTENT])})


def style_loss(found: Look, wanted: dict[str, tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """Squared error of means and deviations at each layer, mean over the batch."""
    return {
        name: F.mse_loss(found.statistics[name][0], mean) + F.mse_loss(found.statistics[name][1], deviation)
        for name, (mean, deviation) in wanted.items()
    }


def between(content: Look, style: Look, alpha: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Statistics on the way from the style's (alpha 0) to the content's (alpha 1); alpha: (B, 1)."""
    return {
        name: (
            torch.lerp(style.statistics[name][0], content.statistics[name][0], alpha),
            torch.lerp(style.statistics[name][1], content.statistics[name][1], alpha),
        )
        for name in style.statistics
    }


def content_loss(found: Look, content: Look) -> Tensor:
    """Squared error of relu4_1, mean over the batch."""
    return F.mse_loss(found.content, content.content)


def grid_loss(x: Tensor, period_px: int = 8, window_px: int = 64) -> Tensor:
    """How much the 64 positions within 8x8 pixels differ in brightness over a window: a visible grid."""
    batch, _, height, width = x.shape
    grey = x.mean(dim=1)
    cells = window_px // period_px
    split = (batch, height // window_px, cells, period_px, width // window_px, cells, period_px)
    phases = grey.reshape(split).mean(dim=(2, 5))
    return phases.var(dim=(2, 4), correction=0).mean()


def range_loss(x: Tensor) -> Tensor:
    """What lies outside of [0, 1], squared."""
    return F.mse_loss(x, x.detach().clamp(0, 1))
