"""The embedded stack's parts that need no server: its place, its plan, its supervisor's configuration."""

from __future__ import annotations

import configparser
import json
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from triptych.cli import CommandError
from triptych.stack import place
from triptych.stack.programs import Process, make_plan
from triptych.stack.supervise import _section

HOLD = """
import sys, time
from pathlib import Path
from triptych.stack.place import held, write_address
with held(Path(sys.argv[1])):
    write_address(Path(sys.argv[1]), "http://x", {"A": "b"})
    print("held", flush=True)
    time.sleep(60)
"""


def test_one_stack_a_directory_and_others_find_it(tmp_path: Path) -> None:
    """While a process holds it, it has an address and cannot be held again; once killed, neither."""
    data = tmp_path / "data"
    assert place.running_url(data) is None
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(data)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert place.running_url(data) == "http://x"
        assert place.running_environment(data) == {"A": "b"}
        with pytest.raises(CommandError, match="already, at http://x"), place.held(data):
            pass
    finally:
        holder.kill()
        holder.communicate()
    assert place.running_url(data) is None
    with place.held(data):
        assert place.running_url(data) is None


def test_the_address_is_this_users_alone(tmp_path: Path) -> None:
    """It holds keys: mode 0600 in a directory of mode 0700."""
    with place.held(tmp_path / "data"):
        place.write_address(tmp_path / "data", "http://x", {})
        modes = [
            stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data", tmp_path / "data/running.json")
        ]
    assert modes == [0o700, 0o600]


def test_the_plan(tmp_path: Path) -> None:
    """Servers first; every process knows where they are; nothing listens beyond this machine; keys differ."""
    plan = make_plan(tmp_path / "a", tmp_path, workers=3, port=1234)
    assert [process.name for process in plan.processes] == ["valkey", "seaweedfs", "api", "control", "device"]
    assert [process.priority for process in plan.processes] == [1, 2, 3, 4, 5]
    assert plan.processes[-1].count == 3
    assert plan.url == "http://127.0.0.1:1234"
    assert plan.environment["TRIPTYCH_API_HOST"] == "127.0.0.1"
    assert plan.environment["TRIPTYCH_S3_PUBLIC_URL"] == plan.environment["TRIPTYCH_S3_URL"]
    assert plan.processes[-1].environment["OMP_NUM_THREADS"] == "1"
    other = make_plan(tmp_path / "b", tmp_path, workers=1, port=1)
    for name in ("TRIPTYCH_S3_SECRET_KEY", "TRIPTYCH_S3_ACCESS_KEY", "TRIPTYCH_REDIS_URL"):
        assert plan.environment[name] != other.environment[name]
    assert plan.environment["TRIPTYCH_S3_SECRET_KEY"] not in json.dumps([p.argv for p in plan.processes])
    assert plan.environment["TRIPTYCH_S3_SECRET_KEY"] not in repr(plan)


def test_arguments_reach_the_program_as_they_are(tmp_path: Path) -> None:
    """Through two layers of quoting: supervisor's expansion of %, and its splitting of the command."""
    argv = (sys.executable, "-c", "100%", "a b", "it's", 'say "x"')
    process = Process("p", argv, 1, {"KEY": "50%", "NUMBER": "n-%(process_num)d"}, 2)
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)
    parser.read_string(_section(process, tmp_path))
    section = parser["program:p"]
    assert shlex.split(section["command"] % {})[-6:] == list(argv)
    assert section["environment"] % {"process_num": 7} == 'KEY="50%",NUMBER="n-7"'
    assert section["process_name"] % {"program_name": "p", "process_num": 1} == "p-1"


@pytest.mark.parametrize("name", ["with ;comment", "with #comment", "new\nline"])
def test_a_place_that_the_supervisor_cannot_carry_is_refused(tmp_path: Path, name: str) -> None:
    """Instead of being cut short by its configuration's syntax."""
    with pytest.raises(CommandError, match="choose another data directory"):
        _section(Process("p", ("x",), 1), tmp_path / name)
