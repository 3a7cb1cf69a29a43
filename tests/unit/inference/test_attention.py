"""Maps of tokens to words, and words to a picture."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from pipeline.inference.attention_sheet import attention_sheet
from pipeline.inference.attention_words import words_of


def maps(count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Map i looks at cell i alone."""
    found = np.zeros((count, 3, 3), np.float32)
    for i in range(count):
        found[i].flat[i] = 1
    return found


def test_pieces_become_words() -> None:
    """Whatever case and spaces they come in; a word's map is the mean of its pieces'."""
    words = words_of("A snowboarder jumps.", [" a", " snow", "board", "er", " jumps", "."], maps(6), "en")
    assert [word for word, _ in words] == ["A", "snowboarder", "jumps."]
    assert words[1][1].flat[1:4].tolist() == pytest.approx([1 / 3] * 3)
    assert all(float(one.sum()) == pytest.approx(1) for _, one in words)


def test_chinese_pieces_are_words() -> None:
    words = words_of("一个男人。", ["一个", "男人"], maps(2), "zh")
    assert [word for word, _ in words] == ["一个", "男人"]


def test_a_second_sentence_is_not_the_pictures() -> None:
    """After the caption a separator comes, and what is heard."""
    words = words_of("A dog.", [" a", " dog", "", " a", " dog", " barks"], maps(6), "en")
    assert [word for word, _ in words] == ["A", "dog"]


def test_heat_lies_where_it_belongs() -> None:
    """The tile of a word that looks at the upper left is warm there, and grey elsewhere."""
    photo = np.full((90, 120, 3), 128, np.uint8)
    one = np.zeros((8, 8), np.float32)
    one[:2, :2] = 0.25
    with Image.open(io.BytesIO(attention_sheet(photo, [("dog", one)]))) as sheet:
        pixels = np.asarray(sheet.convert("RGB")).astype(int)
    tile = pixels[6:96, 132:252]  # the second one
    saturation = np.ptp(tile, axis=2)
    assert saturation[:15, :20].mean() > 50
    assert saturation[50:, 60:].mean() < 40


@pytest.mark.parametrize("count", [1, 4, 5, 30])
def test_any_number_of_words(count: int) -> None:
    even = np.full((8, 8), 1 / 64, np.float32)
    data = attention_sheet(np.zeros((50, 300, 3), np.uint8), [("词" if count == 4 else "word", even)] * count)
    with Image.open(io.BytesIO(data)) as sheet:
        assert sheet.width <= 5 * 206 + 6
        assert sheet.height >= (count // 5 + 1) * 33
