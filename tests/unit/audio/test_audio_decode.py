"""Sounds of every format to the same samples; hostile ones to typed errors."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image

from pipeline.audio.decode import SAMPLE_RATE_HZ, decode_sound, sniff_sound
from pipeline.core.errors import (
    AudioTooLong,
    InputTooLarge,
    SilentAudio,
    UndecodableAudio,
    UnsupportedFormat,
)
from pipeline.core.operation import Limits
from tests.support.image_bytes import saved
from tests.support.sound_bytes import FORMATS, sound, tone

LIMITS = Limits()


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_heard(form: str) -> None:
    """A second of 440 Hz is a second of 440 Hz, at 16 kHz and of the same level."""
    decoded = decode_sound(sound(form=form), LIMITS)
    assert decoded.samples.dtype == np.float32
    assert decoded.seconds == pytest.approx(1, abs=0.06)  # MP3 has frames of 24 ms, and pads
    inner = decoded.samples[2000:14_000]
    spectrum = np.abs(np.fft.rfft(inner * np.hanning(len(inner))))
    assert np.argmax(spectrum) * SAMPLE_RATE_HZ / len(inner) == pytest.approx(440, abs=2)
    assert np.sqrt(np.mean(inner**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.03)


@pytest.mark.parametrize("form", FORMATS)
def test_formats_are_told_by_their_first_bytes(form: str) -> None:
    """Pictures are no sounds, though WebP begins like WAV."""
    expected = {"wav24": "wav", "float": "wav", "opus": "ogg"}.get(form, form)
    assert sniff_sound(sound(form=form)) == expected
    assert sniff_sound(b"ID3\x04" + bytes(20)) == "mp3"
    for image_format in ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"):
        assert sniff_sound(saved(Image.new("RGB", (9, 9)), image_format)) is None
    assert sniff_sound(b"") is None


def test_channels_are_averaged() -> None:
    """Left alone is half as loud; opposite channels are silence."""
    left = np.stack([tone(), np.zeros(48_000)], axis=1)
    decoded = decode_sound(sound(left), LIMITS)
    assert np.abs(decoded.samples).max() == pytest.approx(0.25, abs=0.01)
    with pytest.raises(SilentAudio):
        decode_sound(sound(np.stack([tone(), -tone()], axis=1)), LIMITS)


def test_loud_floats_are_clipped() -> None:
    decoded = decode_sound(sound(4 * tone(), "float"), LIMITS)
    assert np.abs(decoded.samples).max() == 1


@pytest.mark.parametrize("level", [0, 1e-5])
def test_silence_is_an_error(level: float) -> None:
    with pytest.raises(SilentAudio, match="nothing to hear"):
        decode_sound(sound(tone(level=level), "float"), LIMITS)


def test_a_whisper_is_none() -> None:
    assert decode_sound(sound(tone(level=0.001)), LIMITS).seconds == 1


@pytest.mark.parametrize("form", ["wav", "flac"])
def test_two_hours(form: str) -> None:
    """Refused by their header."""
    hours = sound(np.tile(tone(rate=8000, seconds=10), 720), form, rate=8000)
    with pytest.raises(AudioTooLong, match="7200 s long or longer; at most 600 s"):
        decode_sound(hours, LIMITS)


@pytest.mark.parametrize("form", FORMATS)
def test_long_sounds(form: str) -> None:
    """The limit holds in every format."""
    with pytest.raises(AudioTooLong, match="at most 2 s"):
        decode_sound(sound(tone(seconds=4), form), Limits(max_audio_s=2))


def test_lengths_that_headers_deny() -> None:
    """A FLAC that says it has one sample is read to the limit, not to its end."""
    data = bytearray(sound(tone(seconds=4, rate=8000), "flac", rate=8000))
    at = 8 + 13  # STREAMINFO: 36 bits of total samples begin in the middle of this byte
    data[at] &= 0xF0
    data[at + 1 : at + 5] = struct.pack(">I", 0)  # "unknown"
    with pytest.raises((AudioTooLong, UndecodableAudio)):
        decode_sound(bytes(data), Limits(max_audio_s=1))


def test_a_small_file_of_many_samples() -> None:
    """An hour of nothing in a few kilobytes: refused by its header."""
    bomb = sound(np.zeros(48_000 * 1200), "flac")
    assert len(bomb) < 200_000
    with pytest.raises(AudioTooLong):
        decode_sound(bomb, LIMITS)


@pytest.mark.parametrize("form", FORMATS)
def test_cut_and_damaged_files(form: str) -> None:
    """A sound or a typed error, whatever is broken; never another exception."""
    data = sound(form=form)
    random = np.random.default_rng(0)
    for cut in (1, 4, 11, 12, 13, 40, 60, len(data) // 2, len(data) - 1):
        _heard_or_refused(data[:cut])
    for _ in range(60):
        damaged = bytearray(data)
        for place in random.integers(0, min(len(data), 400), 8):
            damaged[place] = random.integers(0, 256)
        _heard_or_refused(bytes(damaged))


def _heard_or_refused(data: bytes) -> None:
    try:
        decoded = decode_sound(data, LIMITS)
    except (UndecodableAudio, UnsupportedFormat, AudioTooLong, SilentAudio):
        return
    assert np.isfinite(decoded.samples).all()
    assert np.abs(decoded.samples).max() <= 1


def test_no_samples() -> None:
    for length in (0, 100):
        with pytest.raises(UndecodableAudio):
            decode_sound(sound(tone()[:length]), LIMITS)


def test_not_numbers() -> None:
    broken = tone()
    broken[100] = np.nan
    with pytest.raises(UndecodableAudio, match="no numbers"):
        decode_sound(sound(broken, "float", rate=16_000), LIMITS)


def test_too_many_bytes() -> None:
    with pytest.raises(InputTooLarge):
        decode_sound(sound(), Limits(max_bytes=100))


def test_other_files() -> None:
    with pytest.raises(UnsupportedFormat, match="WAV, FLAC, OGG and MP3"):
        decode_sound(b"not a sound at all", LIMITS)
