"""Turns whatever Pillow raises on odd bytes into a typed error of the item, at one place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from pipeline.core.errors import ImageTooLarge, TriptychError, UndecodableImage

_MAX_REASON_CHARACTERS = 160


@contextmanager
def translated(image_format: str) -> Iterator[None]:
    """Wraps calls into Pillow on a user's bytes.

    Its parsers are written in Python and meet hostile data with whatever Python raises there: OSError,
    SyntaxError, ValueError, KeyError, struct.error, zlib.error, ZeroDivisionError, AssertionError, ... So
    everything is caught here, and nothing but the decoding of those bytes stands inside.

    Raises:
        ImageTooLarge: Pillow's own guard struck, or memory ran out.
        UndecodableImage: Anything else that it raised.
    """
    try:
        yield
    except TriptychError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageTooLarge("the image has more pixels than Pillow's own guard allows") from error
    except MemoryError as error:
        raise ImageTooLarge("the image does not fit into this worker's memory") from error
    except Exception as error:
        reason = " ".join(str(error).split())[:_MAX_REASON_CHARACTERS] or type(error).__name__
        raise UndecodableImage(f"the {image_format.upper()} file cannot be decoded: {reason}") from error
