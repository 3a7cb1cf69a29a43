"""describe as workers run it: which input is what, forms of text, outputs, batches, what fails and how."""

from __future__ import annotations

import io
import json
import wave
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from pipeline.core.errors import (
    AudioTooLong,
    ImageTooLarge,
    InternalError,
    InvalidInput,
    InvalidParams,
    ProgramMissing,
    SilentAudio,
    TriptychError,
    UndecodableAudio,
    UndecodableImage,
    UnsupportedByModel,
    UnsupportedFormat,
    UnusableObject,
)
from pipeline.core.operation import ItemOutput, resolve_handler
from pipeline.inference import speech
from pipeline.inference.describe import Describer
from pipeline.operations import describe as operation
from tests.support.codec import codec, landscape
from tests.support.describe import ABILITIES, BROKEN, ColourEngine, describer, item, receipt_of, swatch
from tests.support.espeak import put_espeak
from tests.support.image_bytes import saved
from tests.support.sound_bytes import sound, tone

HANDLER = describer()
RED, BLUE = swatch(250, 20, 10), swatch(10, 20, 250)
LOW, HIGH = sound(tone(200)), sound(tone(3000), "flac")
BOMB = saved(Image.new("L", (20_000, 20_000)), "PNG")
DC = {"dc": "http://purl.org/dc/elements/1.1/", "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#"}


def said(data: bytes, objects: dict[str, bytes] | None = None, **params: object) -> operation.DescribeReceipt:
    return receipt_of(HANDLER.run(item(data, objects, **params)))


def test_the_registry_names_this_handler() -> None:
    assert resolve_handler(operation.OPERATION) is Describer


def test_pictures_sounds_and_both() -> None:
    """An input is what its first bytes say; a picture may bring a sound of its own."""
    picture = said(RED)
    assert (picture.kind, picture.text, picture.sound_text) == ("image", "A red picture.", None)
    assert (picture.width_px, picture.height_px, picture.audio_s) == (24, 16, None)
    heard = said(LOW)
    assert (heard.kind, heard.text, heard.sounds) == ("sound", "A low sound.", {"hum": 0.9})
    assert (heard.width_px, heard.audio_s) == (None, 1.0)
    both = said(BLUE, {"a/b": HIGH}, audio="a/b")
    assert (both.kind, both.text, both.sound_text) == ("image+sound", "A blue picture.", "A high sound.")
    assert (both.width_px, both.audio_s) == (24, 1.0)


def test_tri_files_are_pictures() -> None:
    """A compressed picture is described as what it shows."""
    red = np.zeros((32, 40, 3), np.uint8)
    red[..., 0] = 220
    assert said(codec().encode(red, 80).to_bytes()).text == "A red picture."


def test_transparent_pictures_lie_on_white() -> None:
    """Colours that nobody sees are not described."""
    hidden = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    hidden.paste((0, 0, 255, 255), (0, 0, 8, 4))
    assert said(saved(hidden, "PNG")).text == "A blue picture."


def test_what_receipts_say() -> None:
    """Tags from the threshold on, a score below 1, what was asked, the model, stages."""
    receipt = said(RED)
    assert receipt.tags == {"red": 0.9804}
    assert receipt.classes == {"swatch": 0.5}
    assert receipt.score == pytest.approx(np.exp(-0.25), abs=1e-3)
    assert (receipt.language, receipt.preset, receipt.model) == ("en", "caption", "colours")
    assert (receipt.truncated, receipt.embedding, receipt.attention_words) == (False, None, None)
    assert set(receipt.seconds) == {"read", "describe", "write"}
    assert list(said(RED, tag_threshold=0).tags) == ["red", "green", "blue"]
    assert said(RED, tag_threshold=1).tags == {}
    json.dumps(receipt.model_dump(mode="json"), allow_nan=False)


def test_presets() -> None:
    """Titles have no full stop, keywords are tags, alt texts are short."""
    assert said(RED, preset="title").text == "A red picture"
    assert said(RED, preset="keywords", tag_threshold=0.05).text == "red, green, swatch"
    assert said(RED, preset="keywords", tag_threshold=0.6).text == "red"
    assert said(LOW, preset="keywords").text == "hum"
    assert said(RED, preset="alt_text").text == "A red picture."


def test_chinese() -> None:
    receipt = said(RED, language="zh")
    assert (receipt.text, list(receipt.tags)) == ("红。", ["红"])
    assert said(RED, language="zh", preset="keywords", tag_threshold=0.05).text == "红、绿"
    assert said(RED, language="zh", preset="title").text == "红"


def test_cut_texts_say_so() -> None:
    receipt = said(RED, max_tokens=2)
    assert (receipt.text, receipt.truncated) == ("A red", True)


def test_embeddings_on_request() -> None:
    """Of length 1, in few digits."""
    embedding = said(RED, embedding=True).embedding
    assert embedding is not None
    assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-3)


# -- outputs ----------------------------------------------------------------------------------------
def written(data: bytes, objects: dict[str, bytes] | None = None, **params: object) -> ItemOutput:
    return HANDLER.run(item(data, objects, **params))


def test_no_output_unless_asked() -> None:
    assert written(RED).data is None


def test_text_files() -> None:
    output = written(RED, {"x/y": LOW}, write="txt", audio="x/y")
    assert (output.data, output.extension) == (b"A red picture.\nA low sound.\n", ".txt")


def test_xmp_files() -> None:
    """Description and keywords by the words that photo libraries read."""
    output = written(RED, write="xmp", tag_threshold=0.05)
    assert output.extension == ".xmp"
    root = ElementTree.fromstring(output.data or b"")
    texts = root.findall(".//dc:description/rdf:Alt/rdf:li", DC)
    language = "{http://www.w3.org/XML/1998/namespace}lang"
    assert [(one.get(language), one.text) for one in texts] == [
        ("x-default", "A red picture."),
        ("en", "A red picture."),
    ]
    assert [one.text for one in root.findall(".//dc:subject/rdf:Bag/rdf:li", DC)] == [
        "red",
        "green",
        "swatch",
    ]


def test_attention_pictures() -> None:
    """A tile a word and one for all; the receipt has the words."""
    output = written(RED, write="attention")
    assert output.extension == ".png"
    assert receipt_of(output).attention_words == ["A", "red", "picture."]
    with Image.open(io.BytesIO(output.data or b"")) as sheet:
        assert (sheet.format, sheet.width > 4 * 24) == ("PNG", True)


def test_attention_needs_a_picture() -> None:
    with pytest.raises(InvalidInput, match="no picture"):
        written(LOW, write="attention")


def test_speech(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The text goes in as it is, in the program's own names of languages; a WAV comes out."""
    monkeypatch.setenv("PATH", put_espeak(tmp_path))
    output = written(RED, write="speech")
    assert output.extension == ".wav"
    with wave.open(io.BytesIO(output.data or b"")) as file:
        assert file.readframes(file.getnframes()) == b"en:A red picture."
    output = written(RED, write="speech", language="zh")
    assert "cmn:红。".encode() in (output.data or b"")


@pytest.mark.parametrize(("text", "words"), [("fail", "no such voice"), ("sleep", "more than 0.5 s")])
def test_speech_that_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, words: str) -> None:
    """The program's own words, or that it took too long."""
    monkeypatch.setenv("PATH", put_espeak(tmp_path))
    monkeypatch.setattr(speech, "TIMEOUT_S", 0.5)
    with pytest.raises(InternalError, match=words):
        speech.read_aloud(text, "en")


def test_speech_without_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ProgramMissing, match="espeak-ng, which is not installed"):
        written(RED, write="speech")


# -- batches ----------------------------------------------------------------------------------------
def test_items_of_a_batch_are_as_alone() -> None:
    """Of any kinds and params; a call of the model for all."""
    engine = ColourEngine()
    handler = describer(engine)
    items = [
        item(RED),
        item(LOW),
        item(BLUE, {"s": HIGH}, audio="s", language="zh"),
        item(RED, preset="keywords"),
        item(BLUE, write="txt"),
    ]
    together = handler.run_batch(items)
    assert engine.batches == {5: 1}
    alone = [handler.run(one) for one in items]
    for one, other in zip(together, alone, strict=True):
        assert isinstance(one, ItemOutput)
        assert one.data == other.data
        assert receipt_of(one).model_copy(update={"seconds": {}}) == receipt_of(other).model_copy(
            update={"seconds": {}}
        )


def test_one_item_never_fails_another() -> None:
    """Neither one that cannot be read, nor one over which the model breaks."""
    handler = describer()
    outcomes = handler.run_batch(
        [item(RED), item(b"no picture"), item(swatch(*BROKEN)), item(BLUE), item(LOW, audio="s")]
    )
    texts = [one if isinstance(one, Exception) else receipt_of(one).text for one in outcomes]
    assert (texts[0], texts[3]) == ("A red picture.", "A blue picture.")
    codes = [one.code if isinstance(one, TriptychError) else None for one in outcomes]
    assert codes == [None, "unsupported_format", "internal_error", None, "invalid_input"]


# -- what is refused ---------------------------------------------------------------------------------
def test_what_a_model_cannot_do() -> None:
    """Refused at the item, too: its params may be its own."""
    engine = ColourEngine(ABILITIES.model_copy(update={"languages": ("en",), "embedding": False}))
    with pytest.raises(InvalidParams, match="writes en, not 'zh'"):
        describer(engine).run(item(RED, language="zh"))
    with pytest.raises(InvalidParams, match="has no embeddings"):
        describer(engine).run(item(RED, embedding=True))


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", UndecodableImage),
        (b"text", UnsupportedFormat),
        (RED[:60], UndecodableImage),
        (BOMB, ImageTooLarge),
        (LOW[:50], UndecodableAudio),
        (HIGH[: len(HIGH) // 2], UndecodableAudio),
        (sound(np.zeros(48_000)), SilentAudio),
    ],
)
def test_hostile_inputs(data: bytes, error: type[TriptychError]) -> None:
    with pytest.raises(error):
        HANDLER.run(item(data))


def test_what_would_be_accepted_is_said() -> None:
    with pytest.raises(UnsupportedFormat, match="AVIF; WAV, FLAC, OGG and MP3"):
        HANDLER.run(item(b"text"))


def test_long_sounds() -> None:
    with pytest.raises(AudioTooLong):
        describer(max_audio_s=0.5).run(item(LOW))


@pytest.mark.parametrize(
    ("body", "error"),
    [(RED, UnusableObject), (b"text", UnusableObject), (HIGH[:80], UndecodableAudio), (None, UnusableObject)],
)
def test_unusable_sounds_beside_a_picture(body: bytes | None, error: type[TriptychError]) -> None:
    objects = {} if body is None else {"s/x": body}
    with pytest.raises(error):
        HANDLER.run(item(RED, objects, audio="s/x"))


def test_a_sound_has_no_sound() -> None:
    with pytest.raises(InvalidInput, match="a sound itself"):
        HANDLER.run(item(LOW, {"s": HIGH}, audio="s"))


def test_inputs_that_a_model_does_not_take() -> None:
    engine = ColourEngine(ABILITIES.model_copy(update={"inputs": ("image",)}))
    with pytest.raises(UnsupportedByModel, match="takes image; this item is sound"):
        describer(engine).run(item(LOW))


def test_large_photos_are_decoded_smaller() -> None:
    """Where the model says what is enough: the receipt has the photo's size, attention enough pixels."""
    engine = ColourEngine(ABILITIES.model_copy(update={"enough_px": 100}))
    seen: list[tuple[int, ...]] = []
    prepare = engine.prepare
    engine.prepare = lambda pixels: seen.append(pixels.shape) or prepare(pixels)  # type: ignore[func-returns-value, method-assign]
    exif = Image.Exif()
    exif[274] = 6
    photo = saved(Image.new("RGB", (2000, 1500), (250, 20, 10)), "JPEG", exif=exif)
    receipt = receipt_of(describer(engine).run(item(photo, write="attention")))
    assert (receipt.width_px, receipt.height_px, receipt.text) == (1500, 2000, "A red picture.")
    assert seen == [(500, 375, 3)]  # a quarter: an eighth would be too small to show


def test_previews_only_for_samples() -> None:
    picture = saved(Image.fromarray(landscape(100, 500)), "JPEG")
    assert HANDLER.run(item(picture)).previews == {}
    previews = HANDLER.run(item(picture, sample=True)).previews
    with Image.open(io.BytesIO(previews["before"])) as shown:
        assert max(shown.size) == 320
    assert HANDLER.run(item(LOW, sample=True)).previews == {}
