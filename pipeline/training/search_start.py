"""A start of the search heads in closed form: canonical correlations of photographs and their captions.

Left to gradient descent from random weights, both heads first learn what all photographs have in common, and
batches that a CPU can afford have too few strangers to correct that.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.models.description.efficientnet import EfficientNetLite1
from pipeline.models.description.model import DescriptionModel
from pipeline.training.description_data import Photos
from pipeline.training.description_judge import image_tokens, text_states

# Of the mean variance. Measured: recall falls by a tenth at ten times that.
_PHOTO_RIDGE, _TEXT_RIDGE = 1e-3, 1e-4
_POWER = 0.5  # of a direction's correlation, as its weight; 0.25 to 1 are within a tenth of each other


@torch.no_grad()
def align_search(model: DescriptionModel, encoder: EfficientNetLite1, photos: Photos) -> None:
    """Sets `embed_prefix` and `embed_words` so that photographs and their captions meet.

    Canonical correlation analysis (Hotelling, 1936) of the pooled states of both, with a ridge; directions
    are weighted by a power of their correlation (Gong et al., 2014).

    Args:
        model: In evaluation mode; the two heads are changed.
        encoder: The frozen image encoder.
        photos: Those of training, with captions in both languages.
    """
    with torch.autocast("cpu", dtype=torch.bfloat16):
        seen = torch.cat([model.encode(tokens)[0] for tokens in image_tokens(model, encoder, photos)])
        captions = [*zip(photos.english, photos.chinese, strict=True)]
        texts = [ids for pair in captions for language in pair for ids in language]
        read = text_states(model, texts)
    owners = torch.tensor([i for i, pair in enumerate(captions) for language in pair for _ in language])
    photo_head, text_head = canonical(seen.double()[owners], read.double())
    for linear, (weight, mean) in ((model.embed_prefix, photo_head), (model.embed_words, text_head)):
        _set(linear, weight.float(), mean.float())


def canonical(x: Tensor, y: Tensor) -> Sequence[tuple[Tensor, Tensor]]:
    """Projections of paired samples (N, X) and (N, Y), float64, onto the directions that they share.

    Returns:
        For each: the weights, (size, min(X, Y)), and its mean, (size,).
    """
    means = x.mean(dim=0), y.mean(dim=0)
    x, y = x - means[0], y - means[1]
    white_x, white_y = _whitening(x.T @ x / len(x), _PHOTO_RIDGE), _whitening(y.T @ y / len(y), _TEXT_RIDGE)
    u, correlations, v = torch.linalg.svd(white_x @ (x.T @ y / len(x)) @ white_y, full_matrices=False)
    scale = correlations.clamp(max=1) ** _POWER
    return (white_x @ u * scale, means[0]), (white_y @ v.T * scale, means[1])


def _whitening(covariance: Tensor, ridge: float) -> Tensor:
    """The inverse square root of a covariance and its ridge."""
    size = len(covariance)
    values, vectors = torch.linalg.eigh(
        covariance + ridge * covariance.diagonal().mean() * torch.eye(size, dtype=covariance.dtype)
    )
    whitening: Tensor = vectors @ torch.diag(values.clamp(min=1e-12) ** -0.5) @ vectors.T
    return whitening


def _set(linear: nn.Linear, weight: Tensor, mean: Tensor) -> None:
    """Rows beyond the number of directions become zero; the length of the rest makes no difference."""
    linear.weight.zero_()
    linear.bias.zero_()
    rows = min(linear.out_features, weight.shape[1])
    weight = weight[:, :rows] / weight[:, :rows].norm() * linear.out_features**0.5 / 2
    linear.weight[:rows] = weight.T
    linear.bias[:rows] = -(mean @ weight)
