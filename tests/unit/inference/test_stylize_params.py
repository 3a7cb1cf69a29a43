"""What may be asked of stylize: each wrong value is refused by its name, before anything runs."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from export.gallery import STYLES
from pipeline.core.artifact import BUILT_IN
from pipeline.operations.stylize import GALLERY, MAX_STYLES, StylizeParams, in_gallery

UPLOADED = "upl_" + "0" * 32 + "/0/1"


def test_the_gallery_is_what_is_shipped() -> None:
    """Every name has its file, every file its name, and export paints the same ones."""
    assert sorted(GALLERY) == sorted(path.stem for path in (BUILT_IN / "gallery").glob("*.jpg"))
    assert sorted(GALLERY) == sorted(STYLES)
    assert len(GALLERY) >= 8


@pytest.mark.parametrize(
    ("params", "place", "word"),
    [
        ({}, "styles", "Field required"),
        ({"styles": []}, "styles", "one style at least"),
        ({"styles": ["monet"]}, "styles.0", "no style 'monet'"),
        ({"styles": ["wave"] * (MAX_STYLES + 1)}, "styles", "at most 16"),
        ({"styles": ["wave", "monet"]}, "styles.1", "no style 'monet' in the gallery"),
        ({"styles": [""]}, "styles.0", "at least 1 character"),
        ({"styles": ["wave"], "style_weights": [1, 2]}, "style_weights", "1 styles and 2 weights"),
        ({"styles": ["wave", "night"], "style_weights": [0, 0]}, "style_weights", "above 0"),
        ({"styles": ["wave"], "style_weights": [-1]}, "style_weights.0", "greater than or equal to 0"),
        ({"styles": ["wave"], "style_weights": [float("nan")]}, "style_weights.0", "finite"),
        ({"styles": ["wave"], "alpha": 1.5}, "alpha", "less than or equal to 1"),
        ({"styles": ["wave"], "alpha": float("nan")}, "alpha", "finite"),
        ({"styles": ["wave"], "beta": -0.1}, "beta", "greater than or equal to 0"),
        ({"styles": ["wave"], "alpha": 0, "beta": 0}, "beta", "cannot both be 0"),
        ({"styles": ["wave"], "alpha": 0.2, "strength": 0.5}, "strength", "not both"),
        ({"styles": ["wave"], "strength": 2}, "strength", "less than or equal to 1"),
        ({"styles": ["wave"], "preserve_colors": "all"}, "preserve_colors", "'none', 'luma' or 'matched'"),
        ({"styles": ["wave"], "stroke_scale": 9}, "stroke_scale", "less than or equal to 4"),
        ({"styles": ["wave"], "mask": ["a/1.png", "a/2.png"]}, "mask", "1 styles and 2 masks"),
        ({"styles": ["wave"], "style_weights": [1], "mask": ["a/1.png"]}, "mask", "not both"),
        ({"styles": ["wave"], "max_side_px": 3}, "max_side_px", "greater than or equal to 16"),
        ({"styles": ["wave"], "format": "gif"}, "format", "'auto', 'png'"),
        ({"styles": ["wave"], "jpeg_quality": 0}, "jpeg_quality", "greater than or equal to 1"),
        ({"styles": ["wave"], "style": "wave"}, "style", "not permitted"),
    ],
)
def test_wrong_params_are_named(params: dict[str, Any], place: str, word: str) -> None:
    """One error each, at its own place."""
    with pytest.raises(ValidationError) as caught:
        StylizeParams.model_validate(params)
    (error,) = caught.value.errors()
    assert ".".join(map(str, error["loc"])) == place
    assert word in error["msg"]


@pytest.mark.parametrize(
    ("params", "mix"),
    [
        ({}, (0, 1)),
        ({"strength": 0.25}, (0.75, 0.25)),
        ({"strength": 0}, (1, 0)),
        ({"alpha": 0.25}, (0.25, 0.75)),
        ({"beta": 0.25}, (0.75, 0.25)),
        ({"alpha": 0.5, "beta": 1}, (0.5, 1)),
        ({"alpha": 1, "beta": 0}, (1, 0)),
    ],
)
def test_strength_is_the_simple_form(params: dict[str, float], mix: tuple[float, float]) -> None:
    """Whichever way it is said, alpha and beta come of it."""
    assert StylizeParams.model_validate({"styles": ["wave"], **params}).mix() == mix


def test_objects_are_what_is_not_in_the_gallery() -> None:
    """Keys and files of uploads, styles and masks alike."""
    params = StylizeParams(styles=("wave", "owners/ann/x.jpg", UPLOADED, "x.png"), mask=("m/1.png",))
    assert params.objects() == ("owners/ann/x.jpg", UPLOADED, "x.png", "m/1.png")
    assert in_gallery("wave")
    assert not in_gallery(UPLOADED)
    assert not in_gallery("upl_" + "0" * 32)
