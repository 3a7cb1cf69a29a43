"""The three networks that are trained together."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pipeline.models.stylization.content import ContentEncoder
from pipeline.models.stylization.decoder import Decoder
from pipeline.models.stylization.shape import Shape
from pipeline.models.stylization.style import StyleEncoder, statistics


class StylizationModel(nn.Module):
    """Content encoder, style encoder, decoder with the mix in front."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.content_encoder = ContentEncoder(shape)
        self.style_encoder = StyleEncoder(shape)
        self.decoder = Decoder(shape)

    def forward(self, content: Tensor, style: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
        """Paints content in a style.

        Args:
            content: Images in [0, 1], (B, 3, 8h, 8w).
            style: Images in [0, 1], (B, 3, 4i, 4j).
            alpha: Weights of the content's own state, (B, 1).
            beta: Weights of the restyled state, (B, 1).

        Returns:
            Images around [0, 1], (B, 3, 8h, 8w).
        """
        h1 = self.content_encoder(content)
        out: Tensor = self.decoder(h1, statistics(h1), (alpha, beta), self.style_encoder(style))
        return out

    def paint_inside(self, content: Tensor, style: Tensor, alpha: Tensor, margin_px: int) -> Tensor:
        """Paints what lies a margin (a multiple of 8) inside, as if that were all but for its statistics.

        Gradients flow through the painted part only.
        """
        with torch.no_grad():
            known, style_feat = statistics(self.content_encoder(content)), self.style_encoder(style)
        h1 = self.content_encoder(content[:, :, margin_px:-margin_px, margin_px:-margin_px])
        out: Tensor = self.decoder(h1, known, (alpha, 1 - alpha), style_feat)
        return out

    def paint_and_copy(
        self, content: Tensor, style: Tensor, alpha: Tensor, copies: int
    ) -> tuple[Tensor, Tensor]:
        """Paints with beta = 1 - alpha, and decodes the first few contents at (1, 0), in one pass."""
        h1 = self.content_encoder(content)
        mean, spread = statistics(h1)
        style_feat = self.style_encoder(style)
        ones = alpha.new_ones(copies, 1)
        out: Tensor = self.decoder(
            torch.cat([h1, h1[:copies]]),
            (torch.cat([mean, mean[:copies]]), torch.cat([spread, spread[:copies]])),
            (torch.cat([alpha, ones]), torch.cat([1 - alpha, ones - 1])),
            torch.cat([style_feat, style_feat[:copies]]),
        )
        return out[:-copies], out[-copies:]
