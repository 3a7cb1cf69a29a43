"""search: the rows of a described collection that are nearest to some words."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from pipeline.core.operation import Operation, Params, Result
from pipeline.operations.describe import BUILT_IN

MAX_TEXT_CHARACTERS = 500
MAX_HITS = 100


class SearchParams(Params):
    """What to look for. The input is a .npy matrix of embeddings, as a described job leaves it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": "a dog on the beach"}]})

    text: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TEXT_CHARACTERS)
    ] = Field(description="what to look for, in words")
    limit: int = Field(10, ge=1, le=MAX_HITS, description="the best so many")
    model: str = Field(BUILT_IN, description="the artifact that made the embeddings")

    def artifacts(self) -> tuple[str, ...]:
        """The model."""
        return (self.model,)


class Hit(BaseModel):
    """A row that was found."""

    index: int = Field(description="the row: the item's place in its job")
    score: float = Field(description="cosine of the two embeddings, -1 to 1")


class SearchReceipt(Result):
    """The nearest rows, best first."""

    hits: list[Hit]
    rows: int = Field(description="rows that were looked at")
    model: str = Field(description="digest of the artifact")
    bytes_in: int
    seconds: dict[str, float] = Field(default_factory=dict, description="seconds a stage")


OPERATION = Operation(
    name="search",
    summary="Find the rows of an embedding matrix that are nearest to some words.",
    params=SearchParams,
    result=SearchReceipt,
    handler="pipeline.inference.search:Searcher",
    artifacts=(BUILT_IN,),
    output_extension=None,
    takes_picture=False,
    seconds_per_item_hint=0.1,
)
