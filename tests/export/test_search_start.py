"""Search heads in closed form: what two kinds of states share is found in both."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from pipeline.training.search_start import canonical


def test_canonical_directions_find_the_partner() -> None:
    """Eight shared numbers among noise of each side's own: partners meet, held-out ones too."""
    torch.manual_seed(0)
    shared = torch.randn(1200, 8, dtype=torch.float64)
    mix_x, mix_y = torch.randn(8, 20, dtype=torch.float64), torch.randn(8, 30, dtype=torch.float64)
    x = 5 + shared @ mix_x + torch.cat([3 * torch.randn(1200, 10), torch.zeros(1200, 10)], dim=1)
    y = shared @ mix_y - 3 + torch.cat([torch.zeros(1200, 15), 3 * torch.randn(1200, 15)], dim=1)
    (a, mean_x), (b, mean_y) = canonical(x[:1000], y[:1000])
    assert a.shape == (20, 20)
    assert b.shape == (30, 20)

    def rank_of_partner(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        scores = F.normalize(left, dim=1) @ F.normalize(right, dim=1).T
        return (scores > scores.diagonal()[:, None]).sum(dim=1)

    found = rank_of_partner((x[1000:] - mean_x) @ a, (y[1000:] - mean_y) @ b)
    assert (found == 0).float().mean() > 0.9
    unaligned = rank_of_partner(x[1000:, :20] - mean_x, y[1000:, :20] - mean_y[:20])
    assert (unaligned == 0).float().mean() < 0.1
