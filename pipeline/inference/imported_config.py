"""What the manifest of an imported model says to the engine that runs it, under `config["model"]`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.core.abilities import Preset
from pipeline.core.artifact import ArtifactManifest
from pipeline.core.errors import ArtifactCorrupt

ENGINE_NAME = "imported"
MODEL = "model"
PROMPT = "{prompt}"  # in a template, where the user's words go
Family = Literal["blip", "florence2", "idefics3"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PictureConfig(_Strict):
    """How a picture becomes numbers: (u8 x scale - mean) / std.

    Attributes:
        height_px, width_px: What the network takes; the picture is squashed to it. Of tiles: of one tile.
        longest_px: The longer side that a picture is brought to before it is cut into tiles; None: no tiles.
        split: Whether it is cut; else a picture is its one tile.
        resample: Pillow's filter.
    """

    height_px: int = Field(ge=1)
    width_px: int = Field(ge=1)
    longest_px: int | None = None
    split: bool = False
    resample: int = Field(ge=0, le=5)
    scale: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class WritingConfig(_Strict):
    """How tokens are chosen: the checkpoint's generation config, as far as a greedy choice follows it.

    Attributes:
        start: Tokens that every text begins with and that the model is given, an encoder-decoder's.
        ends: Any of them ends a text.
        no_repeat_ngram: No run of so many tokens comes twice; 0: no rule.
        repetition_penalty: Divides the logits of tokens that have come (multiplies negative ones).
        least_tokens: Before so many tokens there is no end.
        never: Never written.
    """

    start: tuple[int, ...] = ()
    ends: tuple[int, ...] = Field(min_length=1)
    no_repeat_ngram: int = 0
    repetition_penalty: float = 1.0
    least_tokens: int = 0
    never: tuple[int, ...] = ()


class ImportedConfig(_Strict):
    """An imported model.

    Attributes:
        family: Which of the layouts below.
        layers, heads, head_size: Of the keys and values of a text.
        width: Of what a decoder-only model is given of a picture; 0 of others.
        places: Tokens that fit, prompt and text together.
        prompts: What is asked for each preset, in the family's own words.
        tokens: The longest text of each preset, and under "prompt" of the user's own prompts, if nobody says.
        template: Of a chat: <image> and {prompt} stand in it.
        picture_token: The token that stands for a piece of a picture; None where there is none.
        picture_tokens: How many a tile has.
    """

    family: Family
    layers: int = Field(ge=1)
    heads: int = Field(ge=1)
    head_size: int = Field(ge=1)
    width: int = 0
    places: int = Field(ge=2)
    picture: PictureConfig
    writing: WritingConfig
    prompts: dict[Preset, str]
    tokens: dict[str, int]
    template: str = ""
    picture_token: int | None = None
    picture_tokens: int = 0


def config_of(manifest: ArtifactManifest) -> ImportedConfig:
    """The config of an imported model.

    Raises:
        ArtifactCorrupt: It is none, or one of another version.
    """
    stated: Any = manifest.config.get(MODEL)
    try:
        return ImportedConfig.model_validate(stated)
    except ValidationError as error:
        raise ArtifactCorrupt(
            f"artifact {manifest.name}: its config is not one of an imported model"
        ) from error
