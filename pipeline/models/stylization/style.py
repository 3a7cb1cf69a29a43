"""The style encoder: a picture of any size to a small vector.

    x -- conv 6x6 / 2 -- conv / 2 -- block -- conv / 2 -- block -- conv / 2 -- block
                                      |               |                 |
                                  mean, spread    mean, spread      mean, spread -- 2 linear -- code
                                      |                                                          |
                                      +-------------------- style_feat --------------------------+

Nothing of the picture's layout survives. Styles are mixed by averaging these vectors: everything that the
decoder does with one is linear in it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.models.stylization.content import ResidualBlock
from pipeline.models.stylization.shape import Shape

_TINY = 1e-5


def statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over the picture, each (B, C), in float32."""
    x = x.float()
    mean = x.mean(dim=(2, 3))
    centred = x - mean[:, :, None, None]
    return mean, (centred * centred).mean(dim=(2, 3)).add(_TINY).sqrt()


class StyleEncoder(nn.Module):
    """Image in [0, 1], (B, 3, H, W), sides multiples of 4 and 32 at least, to style_feat, (B, S)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        c = shape.channels
        widths = (c, 3 * c // 2, 2 * c)
        self.stem = nn.Conv2d(3, c // 2, 6, stride=2, padding=2)
        sources = (c // 2, *widths)
        self.downs = nn.ModuleList(
            nn.Conv2d(i, o, 3, stride=2, padding=1) for i, o in zip(sources, widths, strict=False)
        )
        self.blocks = nn.ModuleList(ResidualBlock(width) for width in widths)
        self.hidden = nn.Linear(2 * sum(widths), 4 * c)
        self.code = nn.Linear(4 * c, shape.style_size - 2 * c)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.stem(x - 0.5))
        seen: list[Tensor] = []
        for down, block in zip(self.downs, self.blocks, strict=True):
            h = block(F.relu(down(h)))
            seen.extend(statistics(h))
        with torch.autocast(x.device.type, enabled=False):
            code = self.code(F.relu(self.hidden(torch.cat(seen, dim=1))))
            return torch.cat([seen[0], seen[1], code], dim=1)
