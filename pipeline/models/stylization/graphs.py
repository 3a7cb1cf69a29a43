"""The networks as they are exported.

    content   pixels -> content_feat
    style     pixels -> style_feat
    paint     content_feat, its statistics, styles, their weights, alpha, beta -> pixels

Pixels are uint8 sRGB, (N, 8h, 8w, 3); N comes first everywhere, so that pictures of one size, each with a
style and strength of its own, go through together.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pipeline.models.stylization.content import ContentEncoder
from pipeline.models.stylization.decoder import Decoder
from pipeline.models.stylization.style import StyleEncoder


class ContentGraph(nn.Module):
    """pixels: uint8 (N, 8h, 8w, 3). content_feat: float32 (N, C, 2h, 2w)."""

    def __init__(self, encoder: ContentEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, pixels: Tensor) -> Tensor:
        out: Tensor = self.encoder(pixels.permute(0, 3, 1, 2).float() / 255)
        return out


class StyleGraph(nn.Module):
    """pixels: uint8 (N, 8h, 8w, 3). style_feat: float32 (N, S).

    Args:
        encoder: The style encoder.
        known: Least and largest number that paintings gave at each place, (S,) each: what lies beyond is cut,
            as the decoder has never been asked for it, and answers with blotches of any colour.
    """

    least: Tensor
    largest: Tensor

    def __init__(self, encoder: StyleEncoder, known: tuple[Tensor, Tensor] | None = None) -> None:
        super().__init__()
        self.encoder, self.bounded = encoder, known is not None
        if known is not None:
            self.register_buffer("least", known[0])
            self.register_buffer("largest", known[1])

    def forward(self, pixels: Tensor) -> Tensor:
        out: Tensor = self.encoder(pixels.permute(0, 3, 1, 2).float() / 255)
        return torch.minimum(torch.maximum(out, self.least), self.largest) if self.bounded else out


class PaintGraph(nn.Module):
    """Paints pixels, uint8 (N, 8h, 8w, 3).

    content_feat: float32 (N, C, 2h, 2w). mean, spread: of the whole picture's content_feat, (N, C).
    style_feat: (N, K, S). style_weight: (N, K), of sum 1. alpha, beta: (N, 1).
    """

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(  # noqa: PLR0917 - the inputs of a graph
        self,
        content_feat: Tensor,
        mean: Tensor,
        spread: Tensor,
        style_feat: Tensor,
        style_weight: Tensor,
        alpha: Tensor,
        beta: Tensor,
    ) -> Tensor:
        style = torch.matmul(style_weight[:, None, :], style_feat)[:, 0]
        x_hat: Tensor = self.decoder(content_feat, (mean, spread), (alpha, beta), style)
        return (x_hat * 255).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
