"""Sound bytes in, mono samples at 16 kHz out. Hostile bytes end in a typed error.

libsndfile (through `soundfile`) reads WAV, FLAC, OGG (Vorbis, Opus) and MP3. Headers may say anything about
lengths, so samples are counted as they come, and reading ends at the limit.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import soundfile
from numpy.typing import NDArray

from pipeline.audio.resample import Resampler
from pipeline.core.errors import (
    AudioTooLong,
    InputTooLarge,
    SilentAudio,
    UndecodableAudio,
    UnsupportedFormat,
)
from pipeline.core.operation import Limits

Floats = NDArray[np.float32]

SAMPLE_RATE_HZ = 16_000
ACCEPTED = "WAV, FLAC, OGG and MP3"
_BLOCK_FRAMES = 1 << 16
_MOST_CHANNELS = 64
_RATES_HZ = (1_000, 768_000)
_MOST_SAMPLES = 1 << 29  # of all channels: an hour of 48 kHz stereo is 2^28.3
_LEAST_SAMPLES = SAMPLE_RATE_HZ // 100
_SILENT = 10 ** (-80 / 20)  # of full scale: three steps of 16 bits
_READ = {"wav": ("WAV", "WAVEX", "RF64", "W64"), "flac": ("FLAC",), "ogg": ("OGG",), "mp3": ("MP3", "MPEG")}


@dataclass(frozen=True, eq=False)
class DecodedSound:
    """A sound.

    Attributes:
        samples: Mono, 16 kHz, float32 in [-1, 1], (N,), N at least 1.
        seconds: How long it is.
    """

    samples: Floats
    seconds: float


def sniff_sound(data: bytes) -> str | None:
    """The sound format that some bytes begin like: "wav", "flac", "ogg", "mp3"; None for anything else."""
    if data[:4] in (b"RIFF", b"RF64") and data[8:12] == b"WAVE":
        return "wav"
    if data[:4] == b"fLaC":
        return "flac"
    if data[:4] == b"OggS":
        return "ogg"
    # An ID3v2 tag, or a frame's sync word with MPEG 1, 2 or 2.5, layer III, a bit rate and a sampling rate.
    if data[:3] == b"ID3" or (
        len(data) > 3
        and data[0] == 0xFF
        and data[1] & 0xE6 == 0xE2
        and data[1] & 0x18 != 0x08
        and 0x10 <= data[2] & 0xF0 < 0xF0
        and data[2] & 0x0C != 0x0C
    ):
        return "mp3"
    return None


def decode_sound(data: bytes, limits: Limits) -> DecodedSound:
    """Decodes a sound; channels are averaged.

    Args:
        data: The whole file.
        limits: `max_bytes` and `max_audio_s` of it.

    Raises:
        InputTooLarge: More bytes than allowed.
        UnsupportedFormat: None of the accepted formats.
        UndecodableAudio: Damaged, cut short before anything was heard, or with absurd properties.
        AudioTooLong: Longer than allowed.
        SilentAudio: Nothing in it is louder than -80 dB of full scale.
    """
    if len(data) > limits.max_bytes:
        raise InputTooLarge(f"the file has {len(data)} bytes; at most {limits.max_bytes} are allowed")
    sound_format = sniff_sound(data)
    if sound_format is None:
        raise UnsupportedFormat(f"not a sound that Triptych knows; accepted are {ACCEPTED}")
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            _check(file, sound_format, limits)
            parts = list(_resampled(file, limits))
    except (soundfile.SoundFileError, RuntimeError, ValueError, TypeError) as error:
        raise UndecodableAudio(f"the {sound_format.upper()} file cannot be read: {_said(error)}") from error
    samples = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    if len(samples) < _LEAST_SAMPLES:
        raise UndecodableAudio("there is less than a hundredth of a second of sound in the file")
    if not np.isfinite(samples).all():
        raise UndecodableAudio("the sound has samples that are no numbers")
    if np.abs(samples).max() < _SILENT:
        raise SilentAudio("there is nothing to hear: every sample is below -80 dB of full scale")
    np.clip(samples, -1, 1, out=samples)
    return DecodedSound(samples, len(samples) / SAMPLE_RATE_HZ)


def _check(file: soundfile.SoundFile, sound_format: str, limits: Limits) -> None:
    if file.format not in _READ[sound_format]:
        raise UndecodableAudio(f"the file begins like {sound_format.upper()}, and is something else")
    if not _RATES_HZ[0] <= file.samplerate <= _RATES_HZ[1]:
        raise UndecodableAudio(f"{file.samplerate} samples a second is no rate of a sound")
    if file.channels > _MOST_CHANNELS:
        raise UndecodableAudio(f"{file.channels} channels; at most {_MOST_CHANNELS} are read")
    if 0 < file.frames < 1 << 62 and file.frames > limits.max_audio_s * file.samplerate:
        raise _too_long(file.frames / file.samplerate, limits)


def _resampled(file: soundfile.SoundFile, limits: Limits) -> Iterator[Floats]:
    change = Resampler(file.samplerate, SAMPLE_RATE_HZ) if file.samplerate != SAMPLE_RATE_HZ else None
    frames = 0
    while len(block := file.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)):
        frames += len(block)
        if frames > limits.max_audio_s * file.samplerate:
            raise _too_long(frames / file.samplerate, limits)
        if frames * file.channels > _MOST_SAMPLES:
            raise AudioTooLong(f"the sound has more than {_MOST_SAMPLES} samples in its channels")
        mono = np.ascontiguousarray(block.mean(axis=1, dtype=np.float32))
        yield mono if change is None else change.push(mono)
    if change is not None and frames:
        yield change.finish()


def _too_long(seconds: float, limits: Limits) -> AudioTooLong:
    return AudioTooLong(
        f"the sound is {seconds:.0f} s long or longer; at most {limits.max_audio_s:g} s are allowed"
    )


def _said(error: Exception) -> str:
    """The library's words without the name of what it read from."""
    return re.sub(r"^Error opening <.*?>: ", "", str(error))[:200] or "damaged"
