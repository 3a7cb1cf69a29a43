"""A description, read aloud: by espeak-ng, a separate program that an operator may install.

It runs as a process of its own with a deadline. The text goes in by its standard input, so no text can be a
flag.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from pipeline.core.errors import InternalError, ProgramMissing

PROGRAM = "espeak-ng"
TIMEOUT_S = 20.0
# Its names of languages, where they are not ISO 639-1: Mandarin is "cmn".
_VOICES = {"zh": "cmn"}


def read_aloud(text: str, language: str) -> bytes:
    """A WAV file of the text, mono, 22.05 kHz, 16 bits.

    Args:
        text: What to say.
        language: ISO 639-1.

    Raises:
        ProgramMissing: espeak-ng is not installed here.
        InternalError: It failed, or took too long.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        raise ProgramMissing(f"speech needs the program {PROGRAM}, which is not installed on this worker")
    with tempfile.TemporaryDirectory(prefix="triptych-speech-") as folder:
        target = Path(folder, "speech.wav")  # by a pipe it would not know the length for the header
        command = [program, "-v", _VOICES.get(language, language), "-b", "1", "-w", str(target), "--stdin"]
        try:
            done = subprocess.run(
                command, input=text.encode(), capture_output=True, timeout=TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired:
            raise InternalError(f"{PROGRAM} took more than {TIMEOUT_S:g} s") from None
        if done.returncode or not target.is_file():
            said = done.stderr.decode(errors="replace").strip()[:200]
            raise InternalError(f"{PROGRAM} ended with {done.returncode}: {said}")
        return target.read_bytes()
