"""What is measured of a stylized picture, in training and in the benchmark."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.training.style_loss import CONTENT, SHALLOW, Look, Perception, content_loss, style_loss

JUDGED_PX = 256
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Marks:
    """Of one picture. content, style: losses as trained on; style of 1-3 is the sum of relu1_1 to 3_1."""

    content: float
    style_by_layer: dict[str, float]
    ssim: float

    @property
    def style_shallow(self) -> float:
        return sum(self.style_by_layer[name] for name in SHALLOW)

    @property
    def style_deep(self) -> float:
        return self.style_by_layer[CONTENT]


@dataclass(frozen=True)
class Reference:
    """A content and a style as the loss networks see them, and the content's brightness."""

    content: Look
    style: Look
    luma: Tensor


class Judge:
    """Compares a result with its content and its style, all of one size; the full VGG up to relu3_1."""

    def __init__(self, perception: Perception) -> None:
        self._perception = perception

    @classmethod
    def load(cls, weights: Path) -> Judge:
        """weights: as `Perception` takes it."""
        return cls(Perception(weights))

    @torch.no_grad()
    def reference(self, content: Tensor, style: Tensor) -> Reference:
        """What results are compared with, both float (1, 3, H, W) in [0, 1]; seen once for all of them."""
        looks = [self._perception.look(x, full=True) for x in (content, style)]
        return Reference(looks[0], looks[1], luma(content))

    @torch.no_grad()
    def judge(self, found: Tensor, reference: Reference) -> Marks:
        """A result of the same size, around [0, 1]."""
        found = found.clamp(0, 1)
        look = self._perception.look(found, full=True)
        by_layer = style_loss(look, reference.style.statistics)
        return Marks(
            content=float(content_loss(look, reference.content)),
            style_by_layer={name: float(value) for name, value in by_layer.items()},
            ssim=ssim(luma(found), reference.luma),
        )


def reduced(x: Tensor, side_px: int = JUDGED_PX) -> Tensor:
    """Smaller by a whole factor, each pixel the mean of those it stands for."""
    factor = x.shape[2] // side_px
    return F.avg_pool2d(x, factor) if factor > 1 else x


def luma(x: Tensor) -> Tensor:
    """(B, 3, H, W) to (B, 1, H, W), BT.601."""
    return (x * torch.tensor(_LUMA)[:, None, None]).sum(dim=1, keepdim=True)


def ssim(x: Tensor, y: Tensor) -> float:
    """Structural similarity (Wang et al. 2004), Gaussian window of 11, sigma 1.5; (1, 1, H, W) in [0, 1]."""
    taps = torch.exp(-(torch.arange(11.0) - 5).square() / (2 * 1.5**2))
    taps = taps / taps.sum()

    def blur(z: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(z, taps[None, None, None]), taps[None, None, :, None])

    mean_x, mean_y = blur(x), blur(y)
    var_x, var_y = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2
    cov = blur(x * y) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    similar = (2 * mean_x * mean_y + c1) * (2 * cov + c2)
    return float((similar / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))).mean())


def psnr_db(x: Tensor, y: Tensor) -> float:
    """Of two images in [0, 1] as 8-bit pictures."""
    eight_bit = x.clamp(0, 1).mul(255).round().div(255)
    return -10 * math.log10(max(float((eight_bit - y).square().mean()), 1e-10))
