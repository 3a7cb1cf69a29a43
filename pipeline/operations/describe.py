"""describe: an image, a sound, or both, in words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, ValidationInfo, field_validator

from pipeline.core.abilities import Abilities, InputKind, Preset, abilities_of
from pipeline.core.endpoint import Endpoint
from pipeline.core.errors import UnsupportedByModel
from pipeline.core.operation import Installed, Operation, Params, Result

BUILT_IN = "description"  # the artifact that ships with the package
REMOTE = "remote"  # the endpoint that an operator has set up
ALT_TEXT_CHARACTERS = 125
MAX_PROMPT_CHARACTERS = 2000
REMOTE_MAX_TOKENS = 1024
REMOTE_SIDE_PX = 1024  # pictures are sent at that, at most
_NAME = re.compile(r"^[a-z0-9][a-z0-9._-]{0,63}$", re.ASCII)


def _model(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("a model's name has small letters, digits, dots, dashes and underscores, 64 at most")
    return name


def _printable(text: str) -> str:
    if any(ord(character) < 32 and character not in "\n\t" for character in text):
        raise ValueError("control characters have no place in a prompt")
    return text


Prompt = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_PROMPT_CHARACTERS),
    AfterValidator(_printable),
]


class DescribeParams(Params):
    """What to say of each input, in which words, by which model."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"preset": "alt_text", "language": "en", "write": "xmp"},
                {"preset": "caption", "language": "zh", "embedding": True},
                {"audio": "owners/ann/sounds/waves.flac"},
            ]
        }
    )

    preset: Preset = Field(
        "caption",
        description="caption: a sentence; alt_text: a sentence of 125 characters at most; title: a few "
        "words; keywords: words between commas; detailed: several sentences",
    )
    language: str = Field("en", pattern=r"^[a-z]{2,3}$", description="ISO 639-1: en, zh")
    prompt: Prompt | None = Field(None, description="your own words to the model, where it takes any")
    audio: Annotated[str, StringConstraints(min_length=1, max_length=1024)] | None = Field(
        None,
        json_schema_extra={
            "format": "object"
        },  # the command line may turn it into an upload, if it is a file
        description="a sound that belongs to the picture: a key, or a file of an upload; for one item, in "
        "its own params",
    )
    max_tokens: int | None = Field(
        None,
        ge=1,
        le=4096,
        description="the longest text; what is cut is marked; the model's own if not given",
    )
    beams: int = Field(1, ge=1, le=8, description="1: greedy; more: beam search, better and slower")
    tag_threshold: float | None = Field(
        None, ge=0, le=1, description="lowest score of a tag; the model's own if not given"
    )
    embedding: bool = Field(
        False, description="give the vector, too; a job whose items have them can be searched"
    )
    write: Literal["none", "txt", "xmp", "speech", "attention"] = Field(
        "none",
        description="an output object an item, beside the text in its result: a .txt or .xmp sidecar, a WAV "
        "of the text being read, a PNG of where the model looked for each word",
    )
    model: Annotated[str, AfterValidator(_model)] = Field(
        BUILT_IN,
        description=f"{BUILT_IN}: the built-in one; {REMOTE}: the endpoint of this installation; else the "
        "name of an imported one",
    )

    @field_validator("model")
    @classmethod
    def _no_codec(cls, name: str) -> str:
        if name.startswith("memo-"):
            raise ValueError("not the name of a model")
        return name

    @field_validator("write")
    @classmethod
    def _needs_sentences(cls, write: str, info: ValidationInfo) -> str:
        if write == "attention" and info.data.get("preset") == "keywords":
            raise ValueError("keywords are not written word by word: there is no attention to show")
        return write

    def objects(self) -> tuple[str, ...]:
        """The sound beside the picture."""
        return () if self.audio is None else (self.audio,)

    def artifacts(self) -> tuple[str, ...]:
        """The model, unless it is remote."""
        return () if self.model == REMOTE else (self.model,)


class DescribeReceipt(Result):
    """What was said of one input."""

    kind: InputKind = Field(description="what was described")
    text: str = Field(description="the description")
    sound_text: str | None = Field(None, description="what is heard, where an image came with a sound")
    language: str
    preset: Preset
    tags: dict[str, float] = Field(
        default_factory=dict, description="words for the picture with their scores, best first"
    )
    classes: dict[str, float] = Field(
        default_factory=dict, description="names from ImageNet for the picture, best first"
    )
    sounds: dict[str, float] = Field(
        default_factory=dict, description="names from AudioSet for the sound, best first"
    )
    score: float | None = Field(
        None,
        description="geometric mean of the tokens' probabilities, 0 to 1: for ranking, no probability that "
        "the text is right; null where the model has none",
    )
    truncated: bool = Field(False, description="whether the text was cut at max_tokens or 125 characters")
    embedding: list[float] | None = Field(None, description="of length 1, on request")
    attention_words: list[str] | None = Field(
        None, description="the words of the attention picture's tiles, in their order"
    )
    model: str = Field(description="digest of the artifact, or the remote model's name")
    width_px: int | None = None
    height_px: int | None = None
    audio_s: float | None = Field(None, description="seconds of sound")
    bytes_in: int
    notes: tuple[str, ...] = Field((), description="what was forgiven on the way")
    seconds: dict[str, float] = Field(default_factory=dict, description="seconds a stage")


def remote_abilities(endpoint: Endpoint) -> Abilities:
    """What is asked of an OpenAI-compatible vision endpoint."""
    return Abilities(
        languages=endpoint.languages,
        presets=("caption", "alt_text", "detailed", "keywords", "title"),
        inputs=("image",),
        prompt=True,
        max_tokens=REMOTE_MAX_TOKENS,
        max_beams=1,
        tags=False,
        embedding=False,
        attention=False,
        enough_px=REMOTE_SIDE_PX,
    )


def unsupported(params: DescribeParams, abilities: Abilities) -> Iterator[tuple[str, str]]:
    """What a model cannot do of what params ask: the param, and a sentence."""
    who = f"the model {params.model!r}"
    if params.language not in abilities.languages:
        yield "language", f"{who} writes {', '.join(abilities.languages)}, not {params.language!r}"
    if params.preset not in abilities.presets:
        yield "preset", f"{who} writes {', '.join(abilities.presets)}, not {params.preset!r}"
    if params.prompt is not None and not abilities.prompt:
        yield "prompt", f"{who} takes no prompt"
    if params.audio is not None and "image+sound" not in abilities.inputs:
        yield "audio", f"{who} does not take an image and a sound together"
    if (params.max_tokens or 1) > abilities.max_tokens:
        yield "max_tokens", f"{who} writes {abilities.max_tokens} tokens at most"
    if params.beams > abilities.max_beams:
        yield "beams", f"{who} has {abilities.max_beams} beam{'s' * (abilities.max_beams > 1)} at most"
    if params.embedding and not abilities.embedding:
        yield "embedding", f"{who} has no embeddings"
    if params.tag_threshold is not None and not abilities.tags:
        yield "tag_threshold", f"{who} has no tags"
    if params.write == "attention" and not abilities.attention:
        yield "write", f"{who} does not show where it looked"


def check(params: Params, installed: Installed) -> Sequence[tuple[str, str]]:
    """What nothing installed can fulfil, for the API."""
    if not isinstance(params, DescribeParams):
        raise TypeError(type(params).__name__)
    if params.model == REMOTE:
        if installed.endpoint is None:
            return [("model", "no remote endpoint is set up here (TRIPTYCH_ENDPOINT_URL)")]
        return list(unsupported(params, remote_abilities(installed.endpoint)))
    try:
        abilities = abilities_of(installed.manifests[params.model])
    except KeyError:
        return [("model", f"the job has no model {params.model!r}: a job has one, named in its step")]
    except UnsupportedByModel as error:
        return [("model", error.message)]
    return list(unsupported(params, abilities))


OPERATION = Operation(
    name="describe",
    summary="Describe an image, a sound, or both, in words.",
    params=DescribeParams,
    result=DescribeReceipt,
    handler="pipeline.inference.describe:Describer",
    artifacts=(BUILT_IN,),
    output_extension=None,
    seconds_per_item_hint=0.06,
    batch_items=8,
    gathers="embedding",
    check=check,
)
