"""The two halves as they are exported: 8-bit pixels on one side, integer symbols on the other."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pipeline.models.compression import Decoder, Encoder

LARGEST_SYMBOL = 2**15 - 1


class EncoderGraph(nn.Module):
    """Pixels and gains to symbols.

    pixels: uint8 (N, 8h, 8w, 3) sRGB. gain: float32 (N, C). symbols: int16 (N, C, h, w).
    """

    def __init__(self, g_a: Encoder) -> None:
        super().__init__()
        self.g_a = g_a

    def forward(self, pixels: Tensor, gain: Tensor) -> Tensor:
        y = self.g_a(pixels.permute(0, 3, 1, 2).float() / 255)
        symbols: Tensor = (y * gain[:, :, None, None]).round().clamp(-LARGEST_SYMBOL, LARGEST_SYMBOL)
        return symbols.to(torch.int16)


class DecoderGraph(nn.Module):
    """Symbols and inverse gains to pixels: the reverse of `EncoderGraph`, same shapes and types."""

    def __init__(self, g_s: Decoder) -> None:
        super().__init__()
        self.g_s = g_s

    def forward(self, symbols: Tensor, inverse_gain: Tensor) -> Tensor:
        x_hat: Tensor = self.g_s(symbols.float() * inverse_gain[:, :, None, None])
        return (x_hat * 255).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
