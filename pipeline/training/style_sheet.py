"""What a stylization training shows of itself: a contact sheet, a line and a curve."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pipeline.models.stylization.model import StylizationModel
from pipeline.training import curve

CURVES = ("content", "style_shallow", "style_deep", "ssim", "identity_psnr_db")


@torch.no_grad()
def contact_sheet(
    model: StylizationModel,
    contents: list[Tensor],
    styles: list[Tensor],
    strengths: tuple[float, ...] = (1.0,),
) -> Image.Image:
    """Styles across, contents down, a row of each for every strength; the originals at the edges.

    Args:
        model: In evaluation mode.
        contents: Float (1, 3, H, W) in [0, 1], all of one size.
        styles: The same.
        strengths: Values of beta; alpha is 1 - beta.
    """
    blank = torch.ones_like(contents[0])
    rows = [torch.cat([blank, *styles], dim=3)]
    for content in contents:
        for strength in strengths:
            beta = torch.full((1, 1), strength)
            painted = [model(content, style, 1 - beta, beta) for style in styles]
            rows.append(torch.cat([content, *painted], dim=3))
    sheet = torch.cat(rows, dim=2)[0].clamp(0, 1).mul(255).round().byte().permute(1, 2, 0)
    return Image.fromarray(np.ascontiguousarray(sheet.numpy()))


def marks_line(point: dict[str, Any]) -> str:
    """One evaluation in words."""
    return (
        f"content {point['content']:.3f}  style {point['style_shallow']:.3f} {point['style_deep']:.3f}"
        f"  ssim {point['ssim']:.3f}  identity {point['identity_psnr_db']:.2f} dB"
    )


def plot_marks(points: list[dict[str, Any]], path: Path) -> None:
    """Draws each mark over CPU minutes."""
    curve.plot_marks(points, path, CURVES)
