"""Wrong requests to stylize are refused by name when they are submitted, and nothing is stored of them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.api.client import AppClient, is_problem
from tests.unit.api.world import World, body

UPLOAD = "upl_" + "0" * 32


def stylize(params: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return body("stylize", params, **{"inputs": {"kind": "keys", "keys": ["owners/ann/in/1.jpg"]}, **fields})


@pytest.mark.parametrize(
    ("params", "field", "words"),
    [
        ({}, "styles", "required"),
        ({"styles": ["monet"]}, "styles.0", "no style 'monet' in the gallery, which has charcoal, dots"),
        ({"styles": ["wave"], "style_weights": [1, 2]}, "style_weights", "1 styles and 2 weights"),
        ({"styles": ["wave"], "alpha": 1.01}, "alpha", "less than or equal to 1"),
        ({"styles": ["wave"], "strength": -1}, "strength", "greater than or equal to 0"),
        ({"styles": ["wave", "night"], "mask": ["a/1", "a/2", "a/3"]}, "mask", "2 styles and 3 masks"),
    ],
)
def test_wrong_params(ann: AppClient, world: World, params: dict[str, Any], field: str, words: str) -> None:
    """422, the field, and a sentence that says what would be right."""
    answer = ann.post("/v1/jobs", json=stylize(params))
    problem = is_problem(answer, 422, "invalid_params")
    assert [error["field"] for error in problem["errors"]] == [f"steps.0.params.{field}"]
    assert words in problem["errors"][0]["message"]
    assert not world.keys("jobs/")


@pytest.mark.parametrize("name", ["styles", "mask"])
@pytest.mark.parametrize("where", ["step", "item"])
@pytest.mark.parametrize(
    "key", ["owners/bob/a.jpg", "elsewhere/a.jpg", "jobs/job_1/job.json", "artifacts/x.y"]
)
def test_styles_and_masks_out_of_reach(ann: AppClient, world: World, name: str, where: str, key: str) -> None:
    """They are held to the same prefixes as inputs, in the step as in single items."""
    wrong = {"styles": ["wave"], name: [key]}
    items = [{"custom_id": "1", "input": "owners/ann/in/1.jpg", "params": wrong}]
    request = (
        stylize(wrong)
        if where == "step"
        else stylize({"styles": ["wave"]}, inputs={"kind": "items", "items": items})
    )
    is_problem(ann.post("/v1/jobs", json=request), 403, "forbidden")
    assert not world.keys("jobs/")


def test_own_styles_and_masks(ann: AppClient) -> None:
    """Within reach they are accepted, there or not: objects may be put later."""
    given = {"styles": ["owners/ann/s.jpg", "wave"], "mask": ["owners/ann/m.png"]}
    assert ann.post("/v1/jobs", json=stylize(given)).status_code == 202


def test_malformed_keys(ann: AppClient) -> None:
    is_problem(
        ann.post("/v1/jobs", json=stylize({"styles": ["owners/ann/../bob/a.jpg"]})), 422, "invalid_input"
    )


def test_uploaded_styles_are_ones_own(ann: AppClient, bob: AppClient) -> None:
    """A declared file of an own upload is accepted; others', undeclared and invented ones are not there."""
    answer = ann.post("/v1/uploads", json={"files": [{"name": "s.jpg", "size_bytes": 3}]})
    upload_id = answer.json()["upload_id"]
    bobs = {"inputs": {"kind": "keys", "keys": ["owners/bob/in/1.jpg"]}}
    for reference in (upload_id, f"{upload_id}/0/0"):
        assert ann.post("/v1/jobs", json=stylize({"styles": [reference]})).status_code == 202
        is_problem(
            bob.post("/v1/jobs", json=stylize({"styles": [reference]}, **bobs)), 404, "upload_not_found"
        )
    for reference in (f"{upload_id}/0/1", f"{upload_id}/1/0", UPLOAD):
        is_problem(ann.post("/v1/jobs", json=stylize({"styles": [reference]})), 404, "upload_not_found")


def test_items_may_be_files_of_own_uploads(ann: AppClient, bob: AppClient) -> None:
    """As inputs, each with params of its own; others' and undeclared ones are not there."""
    answer = ann.post("/v1/uploads", json={"files": [{"name": "s.jpg", "size_bytes": 3}]})
    upload_id = answer.json()["upload_id"]

    def request(place: int) -> dict[str, Any]:
        line = {"custom_id": "1", "input": f"{upload_id}/0/{place}", "params": {"styles": ["night"]}}
        return stylize({"styles": ["wave"]}, inputs={"kind": "items", "items": [line]})

    assert ann.post("/v1/jobs", json=request(0)).status_code == 202
    is_problem(ann.post("/v1/jobs", json=request(1)), 404, "upload_not_found")
    is_problem(bob.post("/v1/jobs", json=request(0)), 404, "upload_not_found")
