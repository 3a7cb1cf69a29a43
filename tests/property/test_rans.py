"""The entropy coder: lossless for anything, the same as the specification, and never surprised by damage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.codec.rans import TOTAL, Decoder, Encoder, MassTables
from pipeline.core.errors import CorruptBitstream
from tests.support.rans_reference import decode_segments

SEAL = 0x89ABCDEF
SYMBOLS = st.integers(-6, 6) | st.integers(-(2**15), 2**15 - 1)


@st.composite
def masses(draw: st.DrawFn) -> list[int]:
    """One table: a few masses and an escape, sum 65536."""
    first = draw(st.lists(st.integers(1, 6000), min_size=1, max_size=10))
    escape = draw(st.integers(1, TOTAL - sum(first)))
    first[0] += TOTAL - sum(first) - escape
    return [*first, escape]


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[list[int]], list[int], list[tuple[np.ndarray, np.ndarray]]]:
    """Tables, their lowest symbols, and segments of symbols and table indices."""
    tables = draw(st.lists(masses(), min_size=1, max_size=4))
    lowest = draw(st.lists(st.integers(-5, 5), min_size=len(tables), max_size=len(tables)))
    segments = []
    for size in draw(st.lists(st.integers(0, 40), min_size=1, max_size=3)):
        symbols = draw(st.lists(SYMBOLS, min_size=size, max_size=size))
        indices = draw(st.lists(st.integers(0, len(tables) - 1), min_size=size, max_size=size))
        segments.append((np.array(symbols, np.int16), np.array(indices, np.uint8)))
    return tables, lowest, segments


def prepared(tables: list[list[int]], lowest: list[int]) -> MassTables:
    size = np.array([len(table) for table in tables])
    return MassTables.from_masses(np.array(lowest), size, np.concatenate(tables).astype(np.uint16))


def encoded(
    segments: list[tuple[np.ndarray, np.ndarray]], tables: MassTables
) -> tuple[np.ndarray, list[np.ndarray]]:
    encoder = Encoder(sum(symbols.size for symbols, _ in segments), SEAL)
    escapes = [encoder.put(symbols, indices, tables) for symbols, indices in reversed(segments)]
    return encoder.finish(), escapes[::-1]


@settings(max_examples=150, deadline=None)
@given(stream=streams())
def test_lossless(stream: tuple[list[list[int]], list[int], list[tuple[np.ndarray, np.ndarray]]]) -> None:
    """Every segment comes back, whatever its symbols and however little the tables expect them."""
    tables, lowest, segments = stream
    ready = prepared(tables, lowest)
    words, escapes = encoded(segments, ready)
    decoder = Decoder(words)
    for (symbols, indices), escaped in zip(segments, escapes, strict=True):
        found, places = decoder.get(indices, ready)
        found[places] = escaped
        assert np.array_equal(found, symbols)
    assert decoder.finish() == SEAL


@settings(max_examples=60, deadline=None)
@given(stream=streams())
def test_the_specification_reads_it(
    stream: tuple[list[list[int]], list[int], list[tuple[np.ndarray, np.ndarray]]],
) -> None:
    """A decoder in plain Python, written from the specification, finds the same symbols and escapes."""
    tables, lowest, segments = stream
    words, escapes = encoded(segments, prepared(tables, lowest))
    decoded = decode_segments(words.tolist(), [i.tolist() for _, i in segments], tables, lowest)
    for (symbols, _), escaped, found in zip(segments, escapes, decoded, strict=True):
        values = iter(escaped.tolist())
        assert [next(values) if symbol is None else symbol for symbol in found] == symbols.tolist()


@settings(max_examples=150, deadline=None)
@given(stream=streams(), data=st.data())
def test_damage_is_an_error_or_other_symbols(
    stream: tuple[list[list[int]], list[int], list[tuple[np.ndarray, np.ndarray]]], data: st.DataObject
) -> None:
    """Cut or changed words end in CorruptBitstream or in symbols; nothing is read beyond the words."""
    tables, lowest, segments = stream
    ready = prepared(tables, lowest)
    words = encoded(segments, ready)[0].copy()
    words = words[: data.draw(st.integers(0, words.size))]
    if words.size:
        words[data.draw(st.integers(0, words.size - 1))] ^= data.draw(st.integers(0, 65535))
    try:
        decoder = Decoder(words)
        for _, indices in segments:
            assert decoder.get(indices, ready)[0].size == indices.size
        decoder.finish()
    except CorruptBitstream:
        pass


@pytest.mark.parametrize("scale", [0.2, 1.0, 20.0])
def test_close_to_the_entropy(scale: float) -> None:
    """Real words cost at most 0.3 % more than the tables promise, start of the stream aside."""
    random = np.random.default_rng(0)
    reach = int(6 * scale) + 2
    edges = (np.arange(-reach, reach + 2) - 0.5) / scale
    weight = np.diff([0.5 * math.erfc(-edge / math.sqrt(2)) for edge in edges])
    mass = np.maximum(np.rint(weight * (TOTAL - 300)), 1).astype(np.int64)
    mass = np.append(mass, TOTAL - mass.sum())
    symbols = np.rint(random.normal(size=40_000) * scale).clip(-reach, reach).astype(np.int16)
    ready = prepared([mass.tolist()], [-reach])
    words, _ = encoded([(symbols, np.zeros(symbols.size, np.uint8))], ready)
    promised = -np.log2(mass[symbols + reach] / TOTAL).sum()
    assert (words.size - 8) * 16 < 1.003 * promised + 128
