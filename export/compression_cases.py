"""Inputs on which torch and ONNX Runtime are compared, and how far they may differ."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.models.compression import CompressionModel
from pipeline.models.compression_graphs import EncoderGraph

SHAPES_PX = ((64, 64), (8, 8), (136, 24), (256, 384), (8, 1000))


def encoder_cases(model: CompressionModel) -> list[tuple[Tensor, ...]]:
    """Pixels and gains of several shapes and rates."""
    torch.manual_seed(0)
    return [
        (_smooth_noise(1 + i % 2, height, width), _gains(model, 1 + i % 2, 0.25 * i))
        for i, (height, width) in enumerate(SHAPES_PX)
    ]


def decoder_cases(model: CompressionModel) -> list[tuple[Tensor, ...]]:
    """Symbols that the encoder itself gave, at the gains it used."""
    encoder = EncoderGraph(model.g_a)
    with torch.no_grad():
        return [
            (encoder(pixels, gain), _gains(model, pixels.shape[0], 0.25 * i, inverse=True))
            for i, (pixels, gain) in enumerate(encoder_cases(model))
        ]


def _gains(model: CompressionModel, count: int, t: float, *, inverse: bool = False) -> Tensor:
    curve = model.inverse_gain if inverse else model.gain
    with torch.no_grad():
        gains: Tensor = curve(torch.full((count,), t))
    return gains[:, :, 0, 0].contiguous()


def _smooth_noise(count: int, height: int, width: int) -> Tensor:
    """uint8 (count, height, width, 3): noise with structure at several scales, as photographs have."""
    image = torch.full((count, 3, height, width), 0.5)
    for cell in (1, 4, 16):
        noise = torch.randn(count, 3, height // cell + 1, width // cell + 1) * 0.03 * cell**0.5
        image += nn.functional.interpolate(noise, size=(height, width), mode="bilinear")
    pixels: Tensor = (image * 255).clamp(0, 255).to(torch.uint8)
    return pixels.permute(0, 2, 3, 1).contiguous()


def symbols_agree(expected: np.ndarray, found: np.ndarray) -> bool:
    """A float network may round a symbol the other way, by one and very rarely."""
    difference = np.abs(expected.astype(np.int32) - found)
    return bool(difference.max() <= 1 and (difference > 0).mean() < 1e-4)


def pixels_agree(expected: np.ndarray, found: np.ndarray) -> bool:
    """At most one grey level, in fewer than one of a thousand samples."""
    difference = np.abs(expected.astype(np.int32) - found)
    return bool(difference.max() <= 1 and (difference > 0).mean() < 1e-3)
