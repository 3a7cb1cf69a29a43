"""MicroAST (Wang et al., AAAI 2023) with its published weights: a teacher, and the benchmark's baseline."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

State = tuple[Tensor, Tensor]  # after the first and the second part of an encoder


class Conv(nn.Module):
    """A convolution with reflected borders; `conv_layer` is its name in the published files."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.border = kernel // 2
        self.conv_layer = nn.Conv2d(inputs, outputs, kernel, stride, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv_layer(F.pad(x, (self.border,) * 4, mode="reflect") if self.border else x)
        return out


class Residual(nn.Module):
    """A residual layer, whose two filters a style may modulate."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = Conv(64, 64, 3), Conv(64, 64, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.conv2(F.relu(self.conv1(x)))
        return out

    def modulated(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        inner = F.relu(weight * self.conv1(x) + bias * x)
        out: Tensor = x + weight * self.conv2(inner) + bias * inner
        return out


class Encoder(nn.Module):
    """x (B, 3, 4h, 4w) to two states (B, 64, h, w)."""

    def __init__(self) -> None:
        super().__init__()
        self.enc1 = nn.Sequential(
            Conv(3, 16, 9),
            nn.ReLU(),
            Conv(16, 32, 3, 2, 16),
            nn.ReLU(),
            Conv(32, 32, 1),
            nn.ReLU(),
            Conv(32, 64, 3, 2, 32),
            nn.ReLU(),
            Conv(64, 64, 1),
            nn.ReLU(),
            Residual(),
        )
        self.enc2 = nn.Sequential(Residual())

    def forward(self, x: Tensor) -> State:
        first: Tensor = self.enc1(x)
        second: Tensor = self.enc2(first)
        return first, second


class Modulator(nn.Module):
    """Weights and biases of the decoder's filters, from the style's states."""

    def __init__(self) -> None:
        super().__init__()
        self.weight1, self.bias1, self.weight2, self.bias2 = (_pooled() for _ in range(4))

    def forward(self, style: State) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        first, second = style
        return self.weight1(first), self.bias1(first), self.weight2(second), self.bias2(second)


def _pooled() -> nn.Sequential:
    return nn.Sequential(Conv(64, 64, 3, groups=64), nn.AdaptiveAvgPool2d(1))


class Decoder(nn.Module):
    """Two normalisation points, two modulated layers, two upsamplings."""

    def __init__(self) -> None:
        super().__init__()
        self.dec1, self.dec2 = Residual(), Residual()
        self.dec3 = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="bilinear"),
            Conv(64, 32, 3, groups=32),
            nn.ReLU(),
            Conv(32, 32, 1),
            nn.ReLU(),
            nn.Upsample(scale_factor=2, mode="bilinear"),
            Conv(32, 16, 3, groups=16),
            nn.ReLU(),
            Conv(16, 16, 1),
            nn.ReLU(),
            Conv(16, 3, 9),
        )

    def forward(self, content: Tensor, statistics: Tensor, filters: tuple[Tensor, ...]) -> Tensor:
        """statistics: (4, B, 64): mean and deviation of the style's first state, then of its second."""
        weight1, bias1, weight2, bias2 = filters
        x: Tensor = self.dec1.modulated(_renormalised(content, statistics[2], statistics[3]), weight2, bias2)
        x = self.dec2.modulated(_renormalised(x, statistics[0], statistics[1]), weight1, bias1)
        out: Tensor = self.dec3(x)
        return out


def mean_and_deviation(x: Tensor) -> tuple[Tensor, Tensor]:
    """Over the picture, each (B, C); the deviation with the unbiased variance, as published."""
    return x.mean(dim=(2, 3)), (x.var(dim=(2, 3)) + 1e-5).sqrt()


def _renormalised(x: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    own_mean = x.mean(dim=(2, 3), keepdim=True)
    own = (
        (x - own_mean).square().sum(dim=(2, 3), keepdim=True) / (x.shape[2] * x.shape[3] - 1) + 1e-5
    ).sqrt()
    return (x - own_mean) / own * deviation[:, :, None, None] + mean[:, :, None, None]


class MicroAST(nn.Module):
    """content and style (B, 3, H, W) in [0, 1] to a stylized image."""

    def __init__(self) -> None:
        super().__init__()
        self.content_encoder, self.style_encoder = Encoder(), Encoder()
        self.modulator, self.decoder = Modulator(), Decoder()

    def style(self, style: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Everything that the decoder needs of a style."""
        states = self.style_encoder(style)
        found = [value for state in states for value in mean_and_deviation(state)]
        return torch.stack(found), self.modulator(states)

    def forward(self, content: Tensor, style: Tensor) -> Tensor:
        out: Tensor = self.decoder(self.content_encoder(content)[1], *self.style(style))
        return out


def load_microast(directory: Path) -> MicroAST:
    """The published model.

    Args:
        directory: With `content_encoder_iter_160000.pth.tar` and the three others.
    """
    model = MicroAST()
    for name in ("content_encoder", "style_encoder", "modulator", "decoder"):
        path = directory / f"{name}_iter_160000.pth.tar"
        weights: Mapping[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        getattr(model, name).load_state_dict(weights)
    return model.eval().requires_grad_(requires_grad=False)
