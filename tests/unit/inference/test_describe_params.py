"""Params of describe: what is refused by the operation's own words, and what by a model's abilities."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.core.abilities import Abilities, abilities_of
from pipeline.core.artifact import ArtifactManifest, Terms
from pipeline.core.endpoint import Endpoint
from pipeline.core.errors import UnsupportedByModel
from pipeline.core.operation import Installed
from pipeline.inference.wording import as_alt_text, as_keywords, as_title
from pipeline.operations.describe import OPERATION, DescribeParams, check

LAYOUT = {"languages": ["en", "zh"], "most_tokens": 60}
TERMS = Terms(licence="MIT")
ENDPOINT = Endpoint("https://models.example/v1", "m")


def manifest(name: str = "description", **config: Any) -> ArtifactManifest:
    return ArtifactManifest(name=name, version=1, files={}, config=config, terms=TERMS)


BUILT_IN = Installed({"description": manifest(**LAYOUT)})
CAPTIONER = Abilities(languages=("en",), presets=("caption", "alt_text"), max_tokens=20)


@pytest.mark.parametrize(
    "params",
    [
        {"preset": "poem"},
        {"language": "English"},
        {"prompt": ""},
        {"prompt": "x" * 2001},
        {"prompt": "a\x00b"},
        {"max_tokens": 0},
        {"beams": 9},
        {"tag_threshold": 1.5},
        {"write": "mp3"},
        {"write": "attention", "preset": "keywords"},
        {"model": "../secret"},
        {"model": "memo-styles"},
        {"model": ""},
        {"audio": ""},
        {"unknown": 1},
    ],
)
def test_wrong_params(params: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DescribeParams.model_validate(params)


@pytest.mark.parametrize(
    ("params", "field", "words"),
    [
        ({"language": "de"}, "language", "writes en, zh, not 'de'"),
        ({"preset": "detailed"}, "preset", "caption, alt_text, keywords, title, not 'detailed'"),
        ({"prompt": "How many cats?"}, "prompt", "takes no prompt"),
        ({"max_tokens": 61}, "max_tokens", "60 tokens at most"),
        ({"model": "remote"}, "model", "no remote endpoint is set up"),
        ({"model": "blip"}, "model", "has no model 'blip'"),
    ],
)
def test_what_the_built_in_model_cannot_do(params: dict[str, Any], field: str, words: str) -> None:
    """The field, and a sentence with what it could do."""
    ((name, sentence),) = check(DescribeParams.model_validate(params), BUILT_IN)
    assert name == field
    assert words in sentence


@pytest.mark.parametrize("preset", ["caption", "alt_text", "keywords", "title"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_it_can_do(preset: str, language: str) -> None:
    more = {"beams": 8, "max_tokens": 60, "embedding": True, "audio": "a/b", "tag_threshold": 0.2}
    params = DescribeParams.model_validate({"preset": preset, "language": language, **more})
    assert not check(params, BUILT_IN)


def test_an_imported_model_states_its_abilities() -> None:
    """All that it cannot do, at once."""
    stated = {"engine": "blip", "abilities": CAPTIONER.model_dump()}
    installed = Installed({"blip": manifest("blip", **stated)})
    everything = {
        "model": "blip",
        "language": "zh",
        "preset": "title",
        "prompt": "p",
        "audio": "a/b",
        "max_tokens": 21,
        "beams": 2,
        "embedding": True,
        "tag_threshold": 0.1,
        "write": "attention",
    }
    said = dict(check(DescribeParams.model_validate(everything), installed))
    assert set(said) == set(everything) - {"model"}
    assert all("'blip'" in sentence for sentence in said.values())
    assert not check(DescribeParams(model="blip"), installed)


def test_other_artifacts_do_not_describe() -> None:
    """A codec, and a manifest whose abilities are none."""
    for config in ({}, {"engine": "blip"}, {"engine": "blip", "abilities": {"languages": ["en"]}}):
        with pytest.raises(UnsupportedByModel):
            abilities_of(manifest("compression", **config))
    said = check(DescribeParams(model="compression"), Installed({"compression": manifest("compression")}))
    assert said == [("model", "'compression' is not a model that describes")]


def test_the_remote_model() -> None:
    """Follows prompts, in the languages that its operator states; it has no tags, embeddings, sounds."""
    installed = Installed({}, ENDPOINT)
    assert not check(DescribeParams(model="remote", prompt="p", preset="detailed"), installed)
    wrong = {"model": "remote", "language": "de", "embedding": True, "audio": "a/b", "beams": 2}
    said = dict(check(DescribeParams.model_validate(wrong), installed))
    assert set(said) == {"language", "embedding", "audio", "beams"}


def test_which_artifacts_a_step_needs() -> None:
    assert OPERATION.needs(DescribeParams()) == ("description",)
    assert OPERATION.needs(DescribeParams(model="blip")) == ("blip",)
    assert OPERATION.needs(DescribeParams(model="remote")) == ()


# -- forms of a text ----------------------------------------------------------------------------------
def test_alt_texts() -> None:
    """125 characters at most, cut after a word, and never "image of"."""
    assert as_alt_text("A dog runs.") == ("A dog runs.", False)
    assert as_alt_text("An image of a dog.") == ("A dog.", False)
    assert as_alt_text("x" * 125) == ("x" * 125, False)
    long = "word " * 40
    text, cut = as_alt_text(long)
    assert cut
    assert len(text) <= 125
    assert text.endswith("word…")
    chinese, cut = as_alt_text("一个男人" * 40)
    assert (len(chinese), cut) == (125, True)
    assert as_alt_text("a  b\n c")[0] == "a b c"


def test_titles_and_keywords() -> None:
    assert as_title("A dog runs.") == "A dog runs"
    assert as_title("一只狗。") == "一只狗"
    assert as_keywords(["dog", "ball", "dog"], "en") == "dog, ball"
    assert as_keywords(["狗", "球"], "zh") == "狗、球"
    assert as_keywords([], "en") == ""
