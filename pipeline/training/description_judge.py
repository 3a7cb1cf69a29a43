"""How well the model describes what it was not trained on: captions, sounds, search."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from pipeline.metrics.cider import Cider
from pipeline.models.description.efficientnet import EfficientNetLite1
from pipeline.models.description.model import DescriptionModel
from pipeline.models.description.shape import CAPTION, EMBED, EN, END, LABEL, PAD, ZH
from pipeline.training.class_names import cells_and_classes
from pipeline.training.description_data import Data, Photos
from pipeline.training.sampling import write
from pipeline.training.sounds import ClipFeatures, stacked

_BATCH = 100
_MOST_TOKENS = {EN: 24, ZH: 20}
_TOKEN = re.compile(r"[a-z0-9']+")


def tokens_of(text: str, language: int) -> list[str]:
    """English words, Chinese characters: what the metrics count."""
    return _TOKEN.findall(text) if language == EN else list(text.replace(" ", ""))


def decoded(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(list(ids))).strip()


class Judge:
    """Marks on the dev photographs and sounds."""

    def __init__(self, data: Data) -> None:
        self._data = data
        self._classes = {
            i: number
            for i, name in enumerate(data.written_dev.names)
            if (number := data.classes.number_in(name)) is not None
        }
        references = data.written_dev.references[0]
        self._written_cider = Cider([[tokens_of(text, EN) for text in texts] for texts in references])
        self._cider = {
            language: Cider([[tokens_of(text, language) for text in texts] for texts in references])
            for language, references in zip((EN, ZH), data.dev.references, strict=True)
        }

    @torch.no_grad()
    def judge(self, model: DescriptionModel) -> dict[str, float]:
        """Greedy captions in both languages, sound labels, text-to-photograph recall at 10."""
        texts: dict[int, list[str]] = {EN: [], ZH: []}
        found_photos = []
        for tokens in image_tokens(model, self._data.encoder, self._data.dev):
            pooled, prefix = model.encode(tokens)
            found_photos.append(model.search_prefix(pooled))
            for language, found in texts.items():
                written = write(model, prefix, (CAPTION, language), most=_MOST_TOKENS[language])
                found += [decoded(self._data.tokenizer, ids) for ids in written]
        marks = {}
        for name, language in (("en", EN), ("zh", ZH)):
            marks[f"cider_{name}"] = self._cider[language].mean(
                [tokens_of(t, language) for t in texts[language]]
            )
            marks[f"distinct_{name}"] = float(len(set(texts[language])))
        marks["recall_at_10"] = self._recall(model, torch.cat(found_photos))
        return marks | self._written_marks(model) | self._sound_marks(model)

    def _written_marks(self, model: DescriptionModel) -> dict[str, float]:
        """Of pictures unlike Flickr8k's: CIDEr, and how many captions have the name of what is shown."""
        pictures, found = self._data.written_dev, list[str]()
        if not pictures.names:
            return {}
        for tokens in image_tokens(model, self._data.encoder, pictures):
            written = write(model, model.encode(tokens)[1], (CAPTION, EN), most=_MOST_TOKENS[EN])
            found += [decoded(self._data.tokenizer, ids) for ids in written]
        named = [
            any(number in classes for classes in self._data.classes.find(found[i]))
            for i, number in self._classes.items()
        ]
        return {
            "cider_written": self._written_cider.mean([tokens_of(text, EN) for text in found]),
            "named": sum(named) / max(1, len(named)),
        }

    @torch.no_grad()
    def recall(self, model: DescriptionModel) -> float:
        """Text-to-photograph recall at 10 alone."""
        every = image_tokens(model, self._data.encoder, self._data.dev)
        return self._recall(model, torch.cat([model.search_prefix(model.encode(one)[0]) for one in every]))

    def _recall(self, model: DescriptionModel, photos: Tensor) -> float:
        """Part of the dev photographs that are among the first ten for their first caption."""
        queries = search_texts(model, [captions[0] for captions in self._data.dev.english])
        scores = queries @ photos.T
        own = scores.diagonal()[:, None]
        found = ((scores >= own).sum(dim=1) <= 10) & own[:, 0].isfinite()  # a tie is no find
        return float(found.float().mean())

    def _sound_marks(self, model: DescriptionModel) -> dict[str, float]:
        right: dict[str, list[float]] = {"esc10": [], "urbansound8k": [], "spoken_digits": []}
        dev = [
            (clip, views[0])
            for clip, views in zip(self._data.clips, self._data.sounds, strict=True)
            if clip.dev
        ]
        for start in range(0, len(dev), _BATCH):
            part = dev[start : start + _BATCH]
            for (clip, _), label in zip(part, self.labels(model, [found for _, found in part]), strict=True):
                name = next(parent.name for parent in clip.path.parents if parent.name in right)
                right[name].append(float(label == clip.label))
        return {f"labels_{name}": sum(hits) / max(1, len(hits)) for name, hits in right.items()}

    def labels(self, model: DescriptionModel, sounds: Sequence[ClipFeatures]) -> list[str]:
        """The label that the model writes for each sound."""
        features, logits, mask = stacked(sounds)
        _, prefix = model.encode(model.audio(features, logits), mask)
        written = write(model, prefix, (LABEL, EN), most=6, mask=mask)
        return [decoded(self._data.tokenizer, ids) for ids in written]


@torch.no_grad()
def image_tokens(model: DescriptionModel, encoder: EfficientNetLite1, photos: Photos) -> Iterator[Tensor]:
    """Tokens of all photographs as they are, in batches."""
    for start in range(0, len(photos.names), _BATCH):
        chosen = range(start, min(start + _BATCH, len(photos.names)))
        yield seen(model, encoder, photos.features(chosen, [0] * len(chosen)))


def seen(model: DescriptionModel, encoder: EfficientNetLite1, features: Tensor) -> Tensor:
    """Tokens of pictures, from cached features (B, 320, 8, 8)."""
    return model.look(*cells_and_classes(encoder, features))


def search_texts(model: DescriptionModel, texts: Sequence[list[int]]) -> Tensor:
    """Search embeddings of texts given as tokens, (N, embedding)."""
    return F.normalize(model.embed_words(text_states(model, texts)), dim=1)


def text_states(model: DescriptionModel, texts: Sequence[list[int]]) -> Tensor:
    """Pooled states of texts given as tokens, (N, width)."""
    found = []
    for start in range(0, len(texts), _BATCH):
        rows = [torch.tensor([EMBED, *ids, END]) for ids in texts[start : start + _BATCH]]
        last = torch.tensor([len(row) - 1 for row in rows])
        found.append(model.read_whole(pad_sequence(rows, batch_first=True, padding_value=PAD), last))
    return torch.cat(found)
