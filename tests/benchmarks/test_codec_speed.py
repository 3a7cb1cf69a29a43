"""The codec's speed on one core, and its memory on a very large picture."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

LEAST_MP_PER_CPU_S = 3.0
MOST_MB = 1500


def measured(*arguments: str) -> list[list[float]]:
    """Encode, decode, bpp and peak MB of each line that a fresh process prints."""
    command = [sys.executable, "-m", "tests.support.codec_speed", *arguments]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    print(output)
    numbers = re.findall(r"encode ([\d.]+), decode ([\d.]+) .* at ([\d.]+) bpp; peak (\d+)", output)
    return [[float(number) for number in line] for line in numbers]


@pytest.mark.timeout(900)
def test_speed() -> None:
    """768x512 to 4K: 3 MP per CPU second both ways, coder included (a busy machine is slower)."""
    for encode, decode, _, _ in measured():
        assert encode >= LEAST_MP_PER_CPU_S
        assert decode >= LEAST_MP_PER_CPU_S


@pytest.mark.timeout(1800)
def test_a_hundred_megapixels_fit_in_memory() -> None:
    """10000 x 10000: under 1.5 GB, the picture itself (0.3 GB) and its copy included."""
    ((_, _, _, peak_mb),) = measured("10000", "10000")
    assert peak_mb < MOST_MB
