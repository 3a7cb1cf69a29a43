"""Sounds of every accepted format, made here."""

from __future__ import annotations

import io

import numpy as np
import soundfile
from numpy.typing import NDArray

FORMATS = {
    "wav": ("WAV", "PCM_16"),
    "wav24": ("WAV", "PCM_24"),
    "float": ("WAV", "FLOAT"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}
_BLOCK = 1 << 16


def tone(
    hertz: float = 440, seconds: float = 1.0, rate: int = 48_000, level: float = 0.5
) -> NDArray[np.float64]:
    """Samples of a sine."""
    return level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def sound(samples: NDArray[np.floating] | None = None, form: str = "wav", rate: int = 48_000) -> bytes:
    """A file of these samples, (N,) or (N, channels); a second of 440 Hz if not given."""
    container, subtype = FORMATS[form]
    buffer = io.BytesIO()
    given = tone(rate=rate) if samples is None else samples
    channels = 1 if given.ndim == 1 else given.shape[1]
    with soundfile.SoundFile(buffer, "w", rate, channels, subtype, format=container) as file:
        for start in range(0, len(given), _BLOCK):  # libsndfile's Vorbis encoder dies of more at once
            file.write(given[start : start + _BLOCK])
    return buffer.getvalue()
