"""Pictures unlike Flickr8k's, kept apart: things of ImageNet's classes, landscapes, buildings, paintings.

Their references are captions of this project's own (two a picture, written by a language model that looked at
it), so CIDEr here is to be compared with itself only. Training reports the same pictures as its dev marks.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.inference.describe_model import DescribeModel, squash
from pipeline.training.captions import written_captions
from pipeline.training.class_names import ClassesInTexts
from pipeline.training.description_data import is_kept_apart
from pipeline.training.paintings import without_bars
from pipeline.training.tflite_weights import class_labels
from tests.benchmarks.describe.data import DevPhoto
from tests.benchmarks.describe.scores import caption_scores
from tests.benchmarks.describe.sheet import write_sheets


def unlike_flickr(model: DescribeModel, data: Path, output: Path, beams: int) -> dict[str, float]:
    """Marks, and a sheet to read."""
    pictures = [
        DevPhoto(one.path, _pixels(one.path), {"en": one.english, "zh": one.chinese})
        for one in written_captions(data)
        if is_kept_apart(one.path)
    ]
    if not pictures:
        return {}
    states = [model.encode(picture.pixels, None) for picture in pictures]
    english, chinese = (
        [one.text for one in model.write(states, "caption", language, beams=beams)]
        for language in model.languages
    )
    write_sheets(pictures, english, chinese, states, output / "unlike")
    classes = ClassesInTexts(class_labels(data / "weights"))
    shown = [classes.number_in(picture.path.name) for picture in pictures]
    named = [
        any(number in found for found in classes.find(text.lower()))
        for number, text in zip(shown, english, strict=True)
        if number is not None
    ]
    scores = {
        language: caption_scores(texts, [picture.captions[language] for picture in pictures], language)
        for language, texts in (("en", english), ("zh", chinese))
    }
    return {
        "pictures": float(len(pictures)),
        "CIDEr, English": scores["en"]["CIDEr"],
        "CIDEr, Chinese": scores["zh"]["CIDEr"],
        "distinct English": scores["en"]["distinct"],
        "things of ImageNet's classes": float(len(named)),
        "of those named rightly": float(np.mean(named or [0])),
    }


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return squash(Image.fromarray(without_bars(np.asarray(image.convert("RGB")))))
