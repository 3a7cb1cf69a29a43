"""Token for token: what torch writes, and what the exported graphs write step by step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.core.errors import ParityError
from pipeline.inference.artifacts import load_directory
from pipeline.inference.describe_model import SIDE_PX, DescribeModel, State, Task, Written
from pipeline.inference.log_mel import SAMPLE_RATE_HZ, log_mel_patches
from pipeline.models.description.efficientnet import EfficientNetLite1
from pipeline.models.description.model import DescriptionModel
from pipeline.models.description.shape import AND, CAPTION, END, LABEL, LANGUAGES, SOUND
from pipeline.models.description.transformer import causal_mask
from pipeline.models.description.yamnet import YamNet
from pipeline.training.description_judge import seen
from pipeline.training.sampling import write

_TASKS: dict[Task, int] = {"caption": CAPTION, "sound": SOUND, "label": LABEL}
_PICTURES, _SOUNDS = 6, 3
_MOST = 20
_TIE = 0.01  # of log-probability: encoders and prefix differ by 0.0003 at most, and four layers follow


def check_tokens(
    directory: Path, model: DescriptionModel, image: EfficientNetLite1, audio: YamNet
) -> dict[str, Any]:
    """Pictures and sounds (made here), alone and together, every task and language, greedily.

    A text may go another way where two tokens are as likely but for rounding; what follows is not compared.

    Returns:
        For the manifest: texts and tokens compared, distinct tokens among them, texts with such a tie.

    Raises:
        ParityError: A token differs.
    """
    served = DescribeModel(load_directory(directory))
    texts, tokens, ties, distinct = 0, 0, 0, set()
    for pixels, samples in _inputs():
        state = served.encode(pixels, samples)
        whole = _prefix(model, image, audio, pixels, samples)
        picture = whole if pixels is None else _prefix(model, image, audio, pixels, None)
        for task, language in _questions(state):
            (written,) = served.write([state], task, language, max_tokens=_MOST)
            about = (picture, whole) if task == "caption" else (whole,)
            for prefix, (prompt, found) in zip(about, _parts(written), strict=False):
                (expected,) = write(model, prefix, prompt, most=_MOST)
                if found != expected:
                    if _gap(model, prefix, prompt, (found, expected)) > _TIE:
                        raise ParityError(
                            f"{task} in {language}: ONNX Runtime writes {found}, torch {expected}"
                        )
                    ties += 1
                texts, tokens = texts + 1, tokens + len(expected)
                distinct.update(expected)
    return {
        "texts": texts,
        "tokens": tokens,
        "distinct_tokens": len(distinct),
        "ties": ties,
        "max_abs_difference": 0,
    }


def _parts(written: Written) -> Iterator[tuple[tuple[int, ...], list[int]]]:
    """What was there, and what was written then: a text, or a caption and after it a sound's sentence."""
    prompt: tuple[int, ...] = written.prompt
    tokens = list(written.tokens)
    if AND in tokens:
        middle = tokens.index(AND)
        yield prompt, tokens[:middle]
        prompt, tokens = (*prompt, *tokens[: middle + 1]), tokens[middle + 1 :]
    yield prompt, tokens


@torch.no_grad()
def _gap(
    model: DescriptionModel,
    prefix: tuple[Tensor, Tensor],
    prompt: tuple[int, ...],
    texts: tuple[list[int], list[int]],
) -> float:
    """How far apart torch sees two texts, by log-probability, at the first token that they do not share."""
    one, other = ([*text, END] for text in texts)
    place = next(i for i, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1])
    tokens = torch.tensor([[*prompt, *one[:place]]])
    before = prefix[0].shape[3]
    mask = causal_mask(tokens.shape[1], before, tokens.device)
    states, _ = model.read(tokens, torch.arange(tokens.shape[1]), prefix, mask)
    likely = model.logits(states[0, -1]).log_softmax(0)
    return float((likely[one[place]] - likely[other[place]]).abs())


def _questions(state: State) -> Iterator[tuple[Task, str]]:
    for task in _TASKS:
        if state.picture is not None if task == "caption" else state.has_audio:
            for language in LANGUAGES:
                yield task, language


@torch.no_grad()
def _prefix(
    model: DescriptionModel,
    image: EfficientNetLite1,
    audio: YamNet,
    pixels: np.ndarray | None,
    samples: np.ndarray | None,
) -> tuple[Tensor, Tensor]:
    tokens = []
    if pixels is not None:
        features = image(torch.from_numpy(pixels)[None].permute(0, 3, 1, 2).float())
        tokens.append(seen(model, image, features))
    if samples is not None:
        features, logits = audio(torch.from_numpy(log_mel_patches(samples)))
        tokens.append(model.audio(features[None], logits[None]))
    return model.encode(torch.cat(tokens, dim=1))[1]


def _inputs() -> Iterator[tuple[np.ndarray | None, np.ndarray | None]]:
    """Soft coloured noise, and noise that swells, of several lengths; some of them together."""
    random = np.random.default_rng(0)
    sounds = []
    for i in range(_SOUNDS):
        length = SAMPLE_RATE_HZ * (2 * i + 1) // 2
        swell = np.abs(np.sin(np.arange(length) / (500 * (i + 1))))
        sounds.append((0.3 * swell * random.normal(size=length)).clip(-1, 1).astype(np.float32))
        yield None, sounds[-1]
    for i in range(_PICTURES):
        cells = random.integers(0, 256, (3 + i, 4 + i, 3), dtype=np.uint8)
        rows, columns = (np.arange(SIDE_PX) * side // SIDE_PX for side in cells.shape[:2])
        pixels = cells[rows][:, columns]
        yield pixels, sounds[i % _SOUNDS] if i % 2 else None
