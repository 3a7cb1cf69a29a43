"""The `describe` operation: pictures and sounds, in words, several items at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from PIL import Image

from pipeline.audio.decode import ACCEPTED as SOUNDS
from pipeline.audio.decode import DecodedSound, decode_sound, sniff_sound
from pipeline.core.errors import (
    InvalidInput,
    InvalidParams,
    UnsupportedByModel,
    UnsupportedFormat,
    UnusableObject,
)
from pipeline.core.operation import HandlerContext, ItemInput, ItemOutput
from pipeline.imaging.decode import DecodedImage
from pipeline.imaging.encode import preview
from pipeline.imaging.formats import ACCEPTED as IMAGES
from pipeline.imaging.resize import resized, size_within
from pipeline.inference.attention_sheet import attention_sheet
from pipeline.inference.describe_engine import Answer, Engine, Pixels, Question
from pipeline.inference.describe_engines import engine_of
from pipeline.inference.images import Images
from pipeline.inference.sidecar import text_file, xmp_file
from pipeline.inference.speech import read_aloud
from pipeline.inference.stopwatch import Stopwatch
from pipeline.inference.wording import as_alt_text, as_keywords, as_title
from pipeline.operations.describe import DescribeParams, DescribeReceipt, unsupported

_SHOWN_PX = 320  # of the photo under an attention map
_MOST_TAGS = 15


@dataclass(frozen=True, eq=False)
class _Asked:
    """An item that was read, and what is asked of it."""

    item: ItemInput
    params: DescribeParams
    engine: Engine
    question: Question
    size: tuple[int, int] | None
    audio_s: float | None
    shown: Pixels | None
    previews: dict[str, bytes]
    notes: tuple[str, ...]
    watch: Stopwatch


class Describer:
    """Describes with the model that its job has pinned, or with the remote one."""

    def __init__(self, context: HandlerContext) -> None:
        self._context = context
        self._images = Images(context)

    def warm_up(self) -> None:
        for model in self._context.artifacts:
            self.engine(model).warm_up()

    def run(self, item: ItemInput) -> ItemOutput:
        (outcome,) = self.run_batch([item])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def run_batch(self, items: Sequence[ItemInput]) -> list[ItemOutput | Exception]:
        """An output or an error for each item, in order."""
        outcomes: dict[int, ItemOutput | Exception] = {}
        asked: dict[int, _Asked] = {}
        for place, item in enumerate(items):
            try:
                asked[place] = self._read(item)
            except Exception as error:  # noqa: BLE001 - it is this item's alone
                outcomes[place] = error
        groups: dict[Engine, list[int]] = defaultdict(list)
        for place, one in asked.items():
            groups[one.engine].append(place)
        for engine, places in groups.items():
            for place, answer in zip(places, _answers(engine, [asked[i] for i in places]), strict=True):
                outcomes[place] = _finished(asked[place], answer)
        return [outcomes[place] for place in range(len(items))]

    def engine(self, model: str) -> Engine:
        """What runs a model.

        Raises:
            InvalidParams: The job has not pinned it.
        """
        return engine_of(model, self._context)

    def _read(self, item: ItemInput) -> _Asked:
        params = cast("DescribeParams", item.params)
        watch = Stopwatch()
        engine = self.engine(params.model)
        wrong = [f"{name}: {sentence}" for name, sentence in unsupported(params, engine.abilities)]
        if wrong:
            raise InvalidParams("; ".join(wrong))
        image, sound = self._inputs(item, params, engine.abilities.enough_px)
        question = Question(
            picture=None if image is None else engine.prepare(image.pixels),
            samples=None if sound is None else sound.samples,
            preset=params.preset,
            language=params.language,
            prompt=params.prompt,
            max_tokens=params.max_tokens,
            beams=params.beams,
            attention=params.write == "attention",
        )
        if question.kind not in engine.abilities.inputs:
            takes = ", ".join(engine.abilities.inputs)
            raise UnsupportedByModel(
                f"the model {params.model!r} takes {takes}; this item is {question.kind}"
            )
        shown, previews = None, {}
        if image is not None:
            if params.write == "attention":
                height, width = image.pixels.shape[:2]
                shown = resized(image.pixels, size_within((width, height), _SHOWN_PX))
            if item.sample:
                previews["before"] = preview(image.pixels)
        watch.lap("read")
        return _Asked(
            item,
            params,
            engine,
            question,
            size=None if image is None else (image.width_px, image.height_px),
            audio_s=None if sound is None else sound.seconds,
            shown=shown,
            previews=previews,
            notes=() if image is None else image.notes,
            watch=watch,
        )

    def _inputs(
        self, item: ItemInput, params: DescribeParams, enough_px: int | None
    ) -> tuple[DecodedImage | None, DecodedSound | None]:
        """The item's picture and sound, told apart by their first bytes."""
        limits = self._context.limits
        if sniff_sound(item.data) is not None:
            if params.audio is not None:
                raise InvalidInput("the input is a sound itself; `audio` goes with a picture")
            return None, decode_sound(item.data, limits)
        try:
            least_px = None if enough_px is None else max(enough_px, _SHOWN_PX)
            image = _over_white(self._images.read(item.data, least_side_px=least_px))
        except UnsupportedFormat as error:
            raise UnsupportedFormat(error.message.replace(IMAGES, f"{IMAGES}; {SOUNDS}")) from error
        if params.audio is None:
            return image, None
        sound = item.objects.get(params.audio)
        if sound is None:
            raise UnusableObject(f"sound {params.audio!r} was not fetched")
        try:
            return image, decode_sound(sound.data, limits)
        except UnsupportedFormat as error:
            raise UnusableObject(f"sound {params.audio!r}: {error.message}") from error


def _answers(engine: Engine, asked: Sequence[_Asked]) -> list[Answer | Exception]:
    """Answers to some items; an error of all of them together is looked for one by one."""
    try:
        answers = engine.describe([one.question for one in asked])
    except Exception as error:  # noqa: BLE001 - whose it is, is found out one by one
        if len(asked) == 1:
            return [error]
        answers = [_answers(engine, [one])[0] for one in asked]
    for one in asked:
        one.watch.lap("describe")  # of the whole batch
    share = 1 / len(asked)
    for one in asked:
        one.watch.seconds["describe"] = round(one.watch.seconds["describe"] * share, 4)
    return answers


def _finished(asked: _Asked, answer: Answer | Exception) -> ItemOutput | Exception:
    if isinstance(answer, Exception):
        return answer
    try:
        receipt = _receipt(asked, answer)
        output = _written(asked, answer, receipt)
    except Exception as error:  # noqa: BLE001 - it is this item's alone
        return error
    asked.watch.lap("write")
    timed = receipt.model_copy(update={"seconds": dict(asked.watch.seconds)})
    return replace(output, receipt=timed, previews=asked.previews)


def _receipt(asked: _Asked, answer: Answer) -> DescribeReceipt:
    params, question = asked.params, asked.question
    least = answer.tag_threshold if params.tag_threshold is None else params.tag_threshold
    tags = {word: score for word, score in answer.tags.items() if score >= least}
    tags = dict(list(tags.items())[:_MOST_TAGS])
    text, cut = answer.text, False
    if params.preset == "keywords" and not text:
        text = as_keywords(_keywords(tags, answer, params, least), params.language)
    elif params.preset == "title":
        text = as_title(text)
    elif params.preset == "alt_text":
        text, cut = as_alt_text(text)
    width, height = asked.size or (None, None)
    return DescribeReceipt(
        kind=question.kind,
        text=text,
        sound_text=answer.sound_text,
        language=params.language,
        preset=params.preset,
        tags=tags,
        classes=answer.classes,
        sounds=answer.sounds,
        score=None if answer.score is None else round(float(np.exp(answer.score)), 4),
        truncated=answer.truncated or cut,
        embedding=_numbers(answer) if params.embedding else None,
        attention_words=[word for word, _ in answer.attention] or None,
        model=asked.engine.name,
        width_px=width,
        height_px=height,
        audio_s=None if asked.audio_s is None else round(asked.audio_s, 2),
        bytes_in=len(asked.item.data),
        notes=asked.notes,
        seconds=asked.watch.seconds,
    )


def _written(asked: _Asked, answer: Answer, receipt: DescribeReceipt) -> ItemOutput:
    """The output object that was asked for beside the receipt, if any."""
    params = asked.params
    sentences = [text for text in (receipt.text, receipt.sound_text) if text]
    least = answer.tag_threshold if params.tag_threshold is None else params.tag_threshold
    match params.write:
        case "txt":
            return ItemOutput(receipt, text_file(sentences), ".txt", "text/plain; charset=utf-8")
        case "xmp":
            keywords = _keywords(receipt.tags, answer, params, least)
            data = _xmp(receipt, " ".join(sentences), keywords)
            return ItemOutput(receipt, data, ".xmp", "application/rdf+xml")
        case "speech":
            data = read_aloud(" ".join(sentences), params.language)
            return ItemOutput(receipt, data, ".wav", "audio/wav")
        case "attention":
            if asked.shown is None or not answer.attention:
                raise InvalidInput("there is no picture, or no word, to show attention for")
            sheet = attention_sheet(asked.shown, answer.attention)
            return ItemOutput(receipt, sheet, ".png", "image/png")
    return ItemOutput(receipt)


def _xmp(receipt: DescribeReceipt, text: str, keywords: Sequence[str]) -> bytes:
    if receipt.preset == "keywords":
        return xmp_file("", keywords, receipt.language)
    if receipt.preset == "title":
        return xmp_file("", keywords, receipt.language, title=text)
    alt_text = text if receipt.preset == "alt_text" else ""
    return xmp_file(text, keywords, receipt.language, alt_text=alt_text)


def _over_white(image: DecodedImage) -> DecodedImage:
    """What people see of a transparent picture on a page."""
    if image.alpha is None:
        return image
    picture = Image.fromarray(image.pixels)
    page = Image.new("RGB", picture.size, "white")
    page.paste(picture, mask=Image.fromarray(image.alpha))
    return replace(image, pixels=np.asarray(page), alpha=None)


def _keywords(tags: Mapping[str, float], answer: Answer, params: DescribeParams, least: float) -> list[str]:
    """Tags, and the names of classes from the same score on; those are English."""
    named = {**answer.classes, **answer.sounds} if params.language == "en" or not tags else answer.sounds
    return list(dict.fromkeys([*tags, *(name for name, score in named.items() if score >= least)]))


def _numbers(answer: Answer) -> list[float] | None:
    return None if answer.embedding is None else [round(float(number), 4) for number in answer.embedding]
