"""search: the nearest rows by cosine, exactly; what is no matrix of this model is refused."""

from __future__ import annotations

import io
import tempfile

import numpy as np
import pytest

from pipeline.core.errors import InvalidInput, UnsupportedByModel
from pipeline.core.npy import HalfRows
from pipeline.core.operation import HandlerContext, ItemInput
from pipeline.inference import search
from pipeline.inference.search import Searcher, nearest, read_matrix
from pipeline.operations.search import SearchParams, SearchReceipt
from tests.support.describe import ABILITIES, ColourEngine

SHAPE = b"{'descr': '<f2', 'fortran_order': False, 'shape': (999999999999, 256), }"
HUGE = b"\x93NUMPY\x01\x00v\x00" + SHAPE.ljust(117) + b"\n"  # the header of more than anybody has


def npy(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> ColourEngine:
    found = ColourEngine()
    monkeypatch.setattr(search, "engine_of", lambda model, context: found)
    return found


def searched(data: bytes, **params: object) -> SearchReceipt:
    given = ItemInput(data, "a", SearchParams.model_validate(params))
    receipt = Searcher(HandlerContext("cpu", {})).run(given).receipt
    assert isinstance(receipt, SearchReceipt)
    return receipt


def test_colours_are_found(engine: ColourEngine) -> None:
    """Best first, with their cosines; the failed item, a row of zeros, is never found."""
    rows = np.array([[1, 0, 0], [0, 0, 0], [0.5, 0.5, 0], [0, 0, 1]], np.float16)
    receipt = searched(npy(rows), text="something red", limit=3)
    assert [hit.index for hit in receipt.hits] == [0, 2, 3]
    assert receipt.hits[0].score == pytest.approx(1, abs=1e-3)
    assert receipt.hits[1].score == pytest.approx(2**-0.5, abs=1e-3)
    assert (receipt.rows, receipt.model) == (4, "colours")


def test_exactly_as_a_plain_sort() -> None:
    """Over several parts, ties by index, lengths without meaning."""
    random = np.random.default_rng(0)
    rows = random.standard_normal((40_000, 8)).astype(np.float16)
    rows[100] = rows[39_000] = rows[7] * 2
    query = random.standard_normal(8).astype(np.float32)
    query /= np.linalg.norm(query)
    wide = rows.astype(np.float32)
    cosines = (wide @ query) / np.linalg.norm(wide, axis=1)
    expected = np.argsort(-cosines.astype(np.float32), kind="stable")[:50]
    found = nearest(rows, query, 50)
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
    assert np.allclose([score for _, score in found], cosines[expected], atol=1e-3)
    assert nearest(rows[[7, 100, 39_000]], query, 3)[0][0] == 0


def test_rows_written_without_numpy() -> None:
    """What the finaliser writes is what numpy reads: gaps and the end are zeros."""
    with tempfile.TemporaryFile() as file:
        rows = HalfRows(file)
        assert rows.empty
        rows.put(1, [0.5, -0.25])
        rows.put(4, [1.0, 2.0])
        rows.close(6)
        matrix = read_matrix(file.read())
    assert matrix.dtype == np.float16
    assert matrix.tolist() == [[0, 0], [0.5, -0.25], [0, 0], [0, 0], [1, 2], [0, 0]]


def test_rows_of_another_width_are_refused() -> None:
    rows = HalfRows(io.BytesIO())
    rows.put(0, [1.0, 2.0])
    with pytest.raises(ValueError, match="row 1 of 3 numbers"):
        rows.put(1, [1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not numpy",
        npy(np.ones((2, 3)))[:-1],
        npy(np.ones((2, 3))),  # float64
        npy(np.ones(3, np.float32)),
        npy(np.ones((0, 3), np.float32)),
        npy(np.array([[1, "a"]], dtype=object)),
        HUGE,
        b"\x93NUMPY\x01\x00v\x00" + b"(" * 117 + b"\n",
    ],
)
def test_what_is_no_matrix(engine: ColourEngine, data: bytes) -> None:
    with pytest.raises(InvalidInput):
        searched(data, text="red")


def test_a_matrix_of_another_model(engine: ColourEngine) -> None:
    with pytest.raises(InvalidInput, match="the rows have 4 numbers, and this model's embeddings 3"):
        searched(npy(np.ones((2, 4), np.float32)), text="red")


def test_a_model_without_embeddings(engine: ColourEngine) -> None:
    engine.abilities = ABILITIES.model_copy(update={"embedding": False})
    with pytest.raises(UnsupportedByModel):
        searched(npy(np.ones((2, 3), np.float32)), text="red")
