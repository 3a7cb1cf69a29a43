"""The hostile corpus: every file ends as expected, fast, in little memory, whatever runs beside it."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.core.errors import InvalidInput
from pipeline.core.operation import Limits
from pipeline.imaging.decode import decode_image
from tests.support.hostile import HostileFile, make_hostile

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> list[HostileFile]:
    return make_hostile(tmp_path_factory.mktemp("hostile"))


def _outcome(file: HostileFile) -> str:
    try:
        decode_image(file.path.read_bytes(), Limits())
    except InvalidInput as error:
        return error.code if 10 < len(error.message) < 300 else f"{error.code} with a poor message"
    return "succeeded"


def test_every_file_ends_as_expected(corpus: list[HostileFile]) -> None:
    """Each odd file decodes or fails with the code that it was made for."""
    wrong = {
        file.path.name: (_outcome(file), file.outcome) for file in corpus if _outcome(file) != file.outcome
    }
    assert not wrong
    assert len(corpus) >= 80


def test_the_corpus_is_always_the_same(corpus: list[HostileFile], tmp_path: Path) -> None:
    """Made twice, the files have the same names and bytes."""
    again = make_hostile(tmp_path)
    assert [(f.path.name, f.path.read_bytes()) for f in again] == [
        (f.path.name, f.path.read_bytes()) for f in corpus
    ]


def test_refusals_take_no_time(corpus: list[HostileFile]) -> None:
    """A file that is refused is refused within a second, however large it says it is."""
    for file in corpus:
        if file.outcome != "succeeded":
            started = time.monotonic()
            _outcome(file)
            assert time.monotonic() - started < 1, file.path.name


def test_refusals_take_no_memory(corpus: list[HostileFile]) -> None:
    """All files together fit into 256 MiB beyond the imports; the bombs alone would need gigabytes."""
    directory = corpus[0].path.parent
    program = (
        "import pathlib, resource, sys, warnings; warnings.simplefilter('ignore')\n"
        "from pipeline.core.errors import InvalidInput\n"
        "from pipeline.core.operation import Limits\n"
        "from pipeline.imaging.decode import decode_image\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):\n"
        "    try: decode_image(path.read_bytes(), Limits())\n"
        "    except InvalidInput: pass\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, directory], capture_output=True, text=True, check=True, timeout=60
    )
    unit_bytes = 1 if sys.platform == "darwin" else 1024
    assert int(run.stdout) * unit_bytes < 256 * 2**20


def test_threads_do_not_disturb_each_other(corpus: list[HostileFile]) -> None:
    """Eight threads over the corpus see what one thread sees."""
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(_outcome, corpus * 3))
    assert outcomes == [file.outcome for file in corpus] * 3


def test_bombs_are_refused_under_a_memory_limit(corpus: list[HostileFile]) -> None:
    """With 1 GiB of address space the 40000 x 40000 PNG is refused for its size, not for want of memory."""
    bomb = next(file.path for file in corpus if file.path.name == "one-bit-40000.png")
    program = (
        "import pathlib, sys\n"
        "from pipeline.core.operation import Limits\n"
        "from pipeline.imaging.decode import decode_image\n"
        "try: decode_image(pathlib.Path(sys.argv[1]).read_bytes(), Limits())\n"
        "except Exception as error: print(error.code, error.message)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, bomb],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={"OPENBLAS_NUM_THREADS": "1", "PATH": ""},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30)),
    )
    assert run.stdout.startswith("image_too_large the image is 40000 x 40000")
