"""The `search` operation: words against the rows of an embedding matrix, exactly."""

from __future__ import annotations

import io
from typing import cast

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import InvalidInput, UnsupportedByModel
from pipeline.core.operation import HandlerContext, ItemInput, ItemOutput
from pipeline.inference.describe_engine import Floats
from pipeline.inference.describe_engines import engine_of
from pipeline.inference.stopwatch import Stopwatch
from pipeline.operations.search import Hit, SearchParams, SearchReceipt

_ROWS = 1 << 14  # in float32 at once


class Searcher:
    """Ranks rows by cosine with the text's embedding."""

    def __init__(self, context: HandlerContext) -> None:
        self._context = context

    def warm_up(self) -> None:
        for model in self._context.artifacts:
            engine = engine_of(model, self._context)
            if engine.abilities.embedding:
                engine.embed_texts(["a"])

    def run(self, item: ItemInput) -> ItemOutput:
        params = cast("SearchParams", item.params)
        watch = Stopwatch()
        engine = engine_of(params.model, self._context)
        if not engine.abilities.embedding:
            raise UnsupportedByModel(f"the model {params.model!r} has no embeddings")
        rows = read_matrix(item.data)
        watch.lap("read")
        query = engine.embed_texts([params.text])[0]
        watch.lap("embed")
        if rows.shape[1] != len(query):
            raise InvalidInput(
                f"the rows have {rows.shape[1]} numbers, and this model's embeddings {len(query)}"
            )
        hits = nearest(rows, query, params.limit)
        watch.lap("rank")
        receipt = SearchReceipt(
            hits=[Hit(index=index, score=score) for index, score in hits],
            rows=len(rows),
            model=engine.name,
            bytes_in=len(item.data),
            seconds=watch.seconds,
        )
        return ItemOutput(receipt)


def read_matrix(data: bytes) -> NDArray[np.floating]:
    """A .npy file's matrix: float16 or float32, (N, E), N and E at least 1.

    Raises:
        InvalidInput: It is none, or is cut short.
    """
    try:
        matrix = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # a parser on hostile bytes may raise anything
        raise InvalidInput("the input is not a .npy file of embeddings, or is cut short") from error
    if matrix.dtype not in (np.float16, np.float32) or matrix.ndim != 2 or not matrix.size:
        raise InvalidInput(f"embeddings are float16 or float32, (N, E), not {matrix.dtype} {matrix.shape}")
    return matrix


def nearest(rows: NDArray[np.floating], query: Floats, limit: int) -> list[tuple[int, float]]:
    """The rows of the largest cosine, best first; of equal ones the earlier. Rows of zeros are no items.

    Args:
        rows: (N, E), of any length.
        query: (E,), of length 1.
        limit: At most so many.
    """
    scores = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), _ROWS):
        part = rows[start : start + _ROWS].astype(np.float32)
        lengths = np.linalg.norm(part, axis=1)
        there = np.isfinite(lengths) & (lengths > 0)
        cosines = np.where(there, part @ query / np.where(there, lengths, 1), -np.inf)
        scores[start : start + _ROWS] = cosines
    order = np.argsort(-scores, kind="stable")[:limit]
    return [(int(i), round(float(scores[i]), 4)) for i in order if np.isfinite(scores[i])]
