"""The networks as they are exported.

    image      pixels -> image tokens, class scores
    audio      log-mel patches -> audio tokens, class scores
    prefix     tokens of one or both -> keys and values, search embedding, tag scores
    step       a token of each beam, after a prefix -> log-probabilities of the next one, longer text caches
    text       tokens of a query -> its search embedding
    attention  a whole text after a prefix -> what each of its tokens looked at

Items come first on every axis list. A prefix's keys and values are (N, layers, heads, P, width / heads);
those of the K texts that are being written after it (N, K, layers, heads, T, width / heads): a prefix is
never copied, not for its beams and not for a step.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pipeline.models.description.efficientnet import EfficientNetLite1
from pipeline.models.description.model import DescriptionModel
from pipeline.models.description.transformer import attention, causal_mask
from pipeline.models.description.yamnet import YamNet

# Whose attention is shown: deeper layers see what the tokens have told each other, not where it came from.
LOOKING_LAYERS = (1, 2)


class ImageGraph(nn.Module):
    """pixels: uint8 sRGB (N, 240, 240, 3). image_tokens: (N, 77, width). classes: (N, 1000), of sum 1."""

    def __init__(self, encoder: EfficientNetLite1, model: DescriptionModel) -> None:
        super().__init__()
        self.encoder, self.model = encoder, model

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        cells = self.encoder.widen(self.encoder(pixels.permute(0, 3, 1, 2).float()))
        probabilities = self.encoder.classify(cells).softmax(dim=1)
        return self.model.look(cells, probabilities), probabilities


class AudioGraph(nn.Module):
    """patches: log-mel, float32 (P, 96, 64), of one sound. audio_tokens: (1, P, width). classes: (P, 521)."""

    def __init__(self, encoder: YamNet, model: DescriptionModel) -> None:
        super().__init__()
        self.encoder, self.connector = encoder, model.audio

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        features, logits = self.encoder(patches)
        return self.connector(features[None], logits[None]), logits.sigmoid()


class PrefixGraph(nn.Module):
    """tokens: (N, P, width). keys, values; embedding: (N, E), L2 norm 1; tags: (N, tags), in [0, 1]."""

    def __init__(self, model: DescriptionModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        pooled, (keys, values) = self.model.encode(tokens)
        embedding, tags = self.model.search_prefix(pooled), self.model.tags(pooled).sigmoid()
        return keys.transpose(0, 1), values.transpose(0, 1), embedding, tags


class StepGraph(nn.Module):
    """One token further.

    tokens: int64 (N, K), the last token of each of K texts. place: int64 (N,), where in its text it stands.
    prefix_keys, prefix_values: of the prefix. text_keys, text_values: of the tokens before, T may be 0.
    Returns log-probabilities (N, K, vocabulary), and text_keys, text_values with T + 1.
    """

    def __init__(self, model: DescriptionModel) -> None:
        super().__init__()
        self.model = model

    def forward(  # noqa: PLR0917 - the inputs of a graph
        self,
        tokens: Tensor,
        place: Tensor,
        prefix_keys: Tensor,
        prefix_values: Tensor,
        text_keys: Tensor,
        text_values: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        model = self.model
        x = model.words(tokens) + model.places[place][:, None]
        all_keys, all_values = [], []
        for i, layer in enumerate(model.transformer.all_layers):
            q, k, v = layer.split(x)
            keys = torch.cat([text_keys[:, :, i], k.transpose(1, 2)[:, :, :, None]], dim=3)
            values = torch.cat([text_values[:, :, i], v.transpose(1, 2)[:, :, :, None]], dim=3)
            x = layer.finish(x, _attended(q, (prefix_keys[:, i], prefix_values[:, i]), (keys, values)))
            all_keys.append(keys)
            all_values.append(values)
        logits = model.logits(model.transformer.norm(x))
        return logits.log_softmax(dim=2), torch.stack(all_keys, dim=2), torch.stack(all_values, dim=2)


class TextGraph(nn.Module):
    """tokens: `<embed>`, text, `<end>`, padding, int64 (N, T). last: place of `<end>`, (N,). Gives (N, E)."""

    def __init__(self, model: DescriptionModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor, last: Tensor) -> Tensor:
        return self.model.search_text(tokens, last)


class AttentionGraph(nn.Module):
    """tokens: prompt and text, int64 (N, T). prefix_keys, prefix_values: of the prefix.

    Returns attention: mean over heads, (N, layers, T, P); what token t looked at when it chose token t + 1.
    """

    def __init__(self, model: DescriptionModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor, prefix_keys: Tensor, prefix_values: Tensor) -> Tensor:
        model = self.model
        length, before = tokens.shape[1], prefix_keys.shape[3]
        mask = causal_mask(length, before, tokens.device)
        x = model.words(tokens) + model.places[:length]
        found = []
        for i, layer in enumerate(model.transformer.all_layers):
            q, k, v = layer.split(x)
            keys, values = (
                torch.cat([prefix_keys[:, i], k], dim=2),
                torch.cat([prefix_values[:, i], v], dim=2),
            )
            weights = attention(q, keys, mask)
            found.append(weights[..., :before].mean(dim=1))
            x = layer.finish(x, weights @ values)
        return torch.stack(found, dim=1)


def _attended(q: Tensor, prefix: tuple[Tensor, Tensor], text: tuple[Tensor, Tensor]) -> Tensor:
    """Attention of (N, heads, K, d) over a shared prefix and K texts, without joining the two."""
    q = q * q.shape[-1] ** -0.5
    to_prefix = q @ prefix[0].transpose(2, 3)
    to_text = (q.transpose(1, 2)[:, :, :, None] @ text[0].transpose(3, 4))[:, :, :, 0].transpose(1, 2)
    weights = torch.softmax(torch.cat([to_prefix, to_text], dim=3), dim=3)
    length = to_prefix.shape[3]
    from_text = weights[..., length:].transpose(1, 2)[:, :, :, None] @ text[1]
    return weights[..., :length] @ prefix[1] + from_text[:, :, :, 0].transpose(1, 2)
