"""YAMNet (a MobileNetV1 over log-mel patches, AudioSet), the audio encoder: pretrained and kept frozen.

Its weights are those of the quantised model of tflite-support's test data (Apache-2.0), BatchNorm folded in:
an int8 number and one scale a channel each, so int8 storage of them loses nothing.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.models.description.same_padding import SameConv2d

CHANNELS = 1024
CLASSES = 521
_STEM_CHANNELS = 32
# (stride, output channels) of each depthwise and pointwise pair.
_PAIRS = ((1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512), *((1, 512),) * 5, (2, 1024), (1, 1024))


class YamNet(nn.Module):
    """Patches of a log-mel spectrogram to features and to class scores."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [SameConv2d(1, _STEM_CHANNELS, 3, stride=2)]
        channels = _STEM_CHANNELS
        for stride, wide in _PAIRS:
            layers.append(SameConv2d(channels, channels, 3, stride=stride, groups=channels))
            layers.append(SameConv2d(channels, wide, 1))
            channels = wide
        self.layers = nn.ModuleList(layers)
        self.classifier = nn.Linear(CHANNELS, CLASSES)

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 96, 64) log-mel patches to features (N, 1024) in [0, 6] and class logits (N, 521)."""
        x = patches[:, None]
        for layer in self.layers:
            x = F.relu6(layer(x))
        features = x.mean(dim=(2, 3))
        return features, self.classifier(features)
