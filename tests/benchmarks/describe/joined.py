"""A photograph and a sound that has nothing to do with it, together: does each keep to its own?"""

from __future__ import annotations

import numpy as np

from pipeline.inference.describe_model import DescribeModel, State
from tests.benchmarks.describe.data import DevPhoto, DevSound
from tests.benchmarks.describe.scores import caption_scores

PHOTOS = 320


def joined(
    model: DescribeModel, photos: list[DevPhoto], states: list[State], sounds: list[DevSound]
) -> dict[str, float]:
    photos, states = photos[:PHOTOS], states[:PHOTOS]
    first = [sounds[i % len(sounds)] for i in range(len(photos))]
    second = [sounds[(i + len(sounds) // 2 + 1) % len(sounds)] for i in range(len(photos))]
    both = [model.encode(p.pixels, s.samples) for p, s in zip(photos, first, strict=True)]
    swapped = [model.encode(p.pixels, s.samples) for p, s in zip(photos, second, strict=True)]
    references = [photo.captions["en"] for photo in photos]

    alone = [one.text for one in model.write(states, "caption")]
    together = model.write(both, "caption", max_tokens=40)
    changed = model.write(swapped, "caption", max_tokens=40)
    moved = [model.encode(p.pixels, s.samples) for p, s in zip(photos[1:] + photos[:1], first, strict=True)]
    elsewhere = model.write(moved, "caption", max_tokens=40)
    heard = [model.encode(None, sound.samples) for sound in sounds]
    labels = [one.text for one in model.write(heard, "label")]
    labels_together = [one.text for one in model.write(both, "label")]
    alone_right = np.mean([label == sound.label for label, sound in zip(labels, sounds, strict=True)])
    together_right = np.mean([label == s.label for label, s in zip(labels_together, first, strict=True)])
    return {
        "CIDEr, photograph alone": caption_scores(alone, references, "en")["CIDEr"],
        "CIDEr, with a sound": caption_scores([one.text for one in together], references, "en")["CIDEr"],
        "labels, sound alone": float(alone_right),
        "labels, with a photograph": float(together_right),
        "texts that speak of both": float(np.mean([one.sound_text is not None for one in together])),
        "captions unchanged by another sound": _same([o.text for o in together], [o.text for o in changed]),
        "sounds' sentences unchanged by another photograph": _same(
            [str(one.sound_text) for one in together], [str(one.sound_text) for one in elsewhere]
        ),
        "labels unchanged by the photograph": _same(
            labels_together, [labels[i % len(labels)] for i in range(len(labels_together))]
        ),
    }


def _same(one: list[str], other: list[str]) -> float:
    return float(np.mean([a == b for a, b in zip(one, other, strict=True)]))
