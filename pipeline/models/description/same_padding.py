"""Convolutions with TensorFlow's "SAME" padding, which both pretrained encoders were trained with."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class SameConv2d(nn.Conv2d):
    """A convolution whose output has ceil(side / stride) cells; an odd padding goes right and to the bottom.

    Symmetric padding (torch's) shifts every cell by half a stride a layer and costs the classifiers points.

    Args:
        channels_in: Input channels.
        channels_out: Output channels.
        side: Of the square kernel.
        stride: Both ways.
        groups: As `nn.Conv2d`.
        bias: Whether there is one.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        side: int,
        *,
        stride: int = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(channels_in, channels_out, side, stride=stride, groups=groups, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', ceil(H / stride), ceil(W / stride))."""
        height, width = (self._padding(side) for side in x.shape[2:])
        if any((*height, *width)):
            x = F.pad(x, (*width, *height))
        out: Tensor = self._conv_forward(x, self.weight, self.bias)
        return out

    def _padding(self, side: int) -> tuple[int, int]:
        stride, kernel = self.stride[0], self.kernel_size[0]
        missing = max(0, (-(-side // stride) - 1) * stride + kernel - side)
        return missing // 2, missing - missing // 2
