"""What a describing model can do, as its manifest says it: read by the API, which has no model runtime.

An artifact states it under `config["abilities"]`, and under `config["engine"]` which engine runs it; the
built-in model's layout ("triptych", if nothing is said) needs neither. So a request that its model cannot
fulfil is refused when it is submitted, and the worker holds single items to the same words.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.core.artifact import ArtifactManifest
from pipeline.core.errors import UnsupportedByModel

Preset = Literal["caption", "alt_text", "detailed", "keywords", "title"]
InputKind = Literal["image", "sound", "image+sound"]
ABILITIES, ENGINE = "abilities", "engine"


class Abilities(BaseModel):
    """What a model can do.

    Attributes:
        languages: What it writes, by ISO 639-1 code.
        presets: Kinds of text.
        inputs: What it takes.
        prompt: Whether it follows a user's own words, beside an input.
        max_tokens: The longest text that it writes.
        max_beams: 1 where it decodes greedily only.
        tags: Whether it scores words for an input.
        embedding: Whether it gives vectors that can be searched by text.
        attention: Whether it says where it looked for each word.
        enough_px: Pictures whose sides have so many pixels lose nothing that the model would see; None: it
            wants them whole.
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
    enough_px: int | None = None


def abilities_of(manifest: ArtifactManifest) -> Abilities:
    """What the model of an artifact can do.

    Raises:
        UnsupportedByModel: It is no describing model.
    """
    config = manifest.config
    stated = config.get(ABILITIES) if ENGINE in config else _built_in(config)
    try:
        return Abilities.model_validate(stated)
    except ValidationError:
        raise UnsupportedByModel(f"{manifest.name!r} is not a model that describes") from None


def _built_in(config: dict[str, Any]) -> dict[str, Any]:
    """The abilities of a model of the built-in layout, which states languages and longest text only."""
    return {
        "languages": config.get("languages"),
        "presets": ("caption", "alt_text", "keywords", "title"),
        "inputs": ("image", "sound", "image+sound"),
        "max_tokens": config.get("most_tokens"),
        "max_beams": 8,
        "tags": True,
        "embedding": True,
        "attention": True,
        "enough_px": 480,  # twice the sides that it sees
    }
