"""What a describing model can do, as its artifact's manifest says it: read by the API, which has no model runtime.

An artifact states it under `config["abilities"]`. So a request that its model cannot fulfil is refused when it is
submitted, and the worker holds single items to the same words.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.core.artifact import ArtifactManifest
from pipeline.core.errors import UnsupportedByModel

Preset = Literal["caption", "alt_text", "detailed", "keywords", "title"]
InputKind = Literal["image", "sound", "image+sound", "text"]
ABILITIES, ENGINE = "abilities", "engine"


class Abilities(BaseModel):
    """What a model can do.

    Attributes:
        languages: What it writes, by ISO 639-1 code.
        presets: Kinds of text.
        inputs: What it takes at once; "text" is a prompt alone.
        prompt: Whether it follows a user's own words.
        max_tokens: The longest text that it writes.
        max_beams: 1 where it decodes greedily only.
        tags: Whether it scores words for an input.
        embedding: Whether it gives vectors that can be searched by text.
        attention: Whether it says where it looked for each word.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    languages: tuple[str, ...]
    presets: tuple[Preset, ...]
    inputs: tuple[InputKind, ...] = ("image",)
    prompt: bool = False
    max_tokens: int
    max_beams: int = 1
    tags: bool = False
    embedding: bool = False
    attention: bool = False


def abilities_of(manifest: ArtifactManifest) -> Abilities:
    """What the model of an artifact can do.

    Raises:
        UnsupportedByModel: It is no describing model.
    """
    try:
        return Abilities.model_validate(manifest.config.get(ABILITIES))
    except ValidationError:
        raise UnsupportedByModel(f"{manifest.name!r} is not a model that describes") from None
