"""Forms of a description: what alt texts, titles and keyword lists look like."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.operations.describe import ALT_TEXT_CHARACTERS

_ELLIPSIS = "…"
_STOPS = ".。!\uff01"  # full stops and exclamation marks, of both scripts
_LOOSE_ENDS = " ,;:\u3001\uff0c"  # also the Chinese commas
# Screen readers say "image" themselves.
_NEEDLESS = ("an image of ", "a picture of ", "a photo of ", "image of ", "picture of ", "photo of ")


def as_alt_text(text: str) -> tuple[str, bool]:
    """A text of at most 125 characters that does not begin with "image of", and whether it was cut.

    It is cut after a word, or, where there is no space (Chinese), after a character.
    """
    plain = " ".join(text.split())
    for start in _NEEDLESS:
        if plain.casefold().startswith(start):
            plain = plain[len(start) :]
            plain = plain[:1].upper() + plain[1:]
            break
    if len(plain) <= ALT_TEXT_CHARACTERS:
        return plain, False
    kept = plain[: ALT_TEXT_CHARACTERS - len(_ELLIPSIS)]
    words, space, _ = kept.rpartition(" ")
    if space and len(words) > ALT_TEXT_CHARACTERS // 2:
        kept = words
    return kept.rstrip(_LOOSE_ENDS) + _ELLIPSIS, True


def as_title(text: str) -> str:
    """A text without its full stop."""
    return text.rstrip(_STOPS).strip()


def as_keywords(words: Sequence[str], language: str) -> str:
    """Words between commas, each once."""
    return ("、" if language == "zh" else ", ").join(dict.fromkeys(words))
