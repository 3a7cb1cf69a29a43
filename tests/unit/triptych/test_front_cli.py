"""The command line against the fake API: exit codes, one line an error, `--json` for programs."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.fake_api import API, FakeApi, problem
from triptych import Client, PrefixInput, cli
from triptych.commands import connect


@pytest.fixture
def run(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Any:
    """Runs a command; gives exit code, stdout and stderr."""

    async def sleep(seconds: float) -> None:
        pass

    monkeypatch.setattr(connect, "Client", functools.partial(Client, http=api.transport, sleep=sleep))
    monkeypatch.setenv("TRIPTYCH_URL", API)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = cli.main(arguments)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / "in" / name).write_bytes(name.encode())
    return tmp_path / "in"


def test_run_does_it_all(run: Any, folder: Path, api: FakeApi) -> None:
    """Upload, job, results, report; 0 when all succeeded; params are typed by the schema."""
    code, out, err = run("run", "squeeze", "in", "-o", "out", "--quality", "7")
    assert code == 0, err
    assert "3 of 3 succeeded" in out
    assert Path("out/a.tri").read_bytes() == b"output 0"
    assert [json.loads(line)["custom_id"] for line in Path("out/results.jsonl").read_text().splitlines()] == [
        "in/a.jpg",
        "in/b.jpg",
        "in/c.jpg",
    ]
    (body,) = api.bodies.values()
    assert body["steps"] == [{"operation": "squeeze", "params": {"quality": 7}}]


def test_run_beside_the_inputs(run: Any, folder: Path, api: FakeApi) -> None:
    """With --keep-folders into a folder above; what a run has brought is no input of the next one."""
    for _ in range(2):
        code, out, err = run("run", "squeeze", "in", "-o", ".", "--keep-folders")
        assert code == 0, err
        assert "3 of 3 succeeded" in out
    names = {path.name for path in folder.iterdir()}
    assert names == {f"{stem}.{kind}" for stem in "abc" for kind in ("jpg", "tri")}


def test_run_with_further_steps(run: Any, folder: Path, api: FakeApi) -> None:
    """Each `--then` has an operation and params of its own."""
    more = ("--then", "squeeze", "--quality", "9", "--then", "squeeze")
    code, _, err = run("run", "squeeze", "in", "-o", "out", "--quality", "7", *more)
    assert code == 0, err
    (body,) = api.bodies.values()
    assert [step["params"] for step in body["steps"]] == [{"quality": 7}, {"quality": 9}, {}]


def test_help_of_a_later_step(run: Any) -> None:
    """Its own params, whatever the first step lacks; it says where the command's own flags belong."""
    code, shown, _ = run("run", "squeeze", "--then=squeeze", "--help")
    assert code == 0
    assert "--quality" in shown
    assert "come before the first --then" in " ".join(shown.split())


def test_run_says_4_when_some_failed(run: Any, folder: Path, api: FakeApi) -> None:
    """As JSON, the whole outcome."""
    api.failing["in/b.jpg"] = "undecodable_image"
    code, out, _ = run("run", "squeeze", "in", "-o", "out", "--json")
    answer = json.loads(out)
    assert code == 4
    assert (answer["succeeded"], answer["failed"], answer["files"]) == (2, 1, 2)
    assert answer["job"]["state"] == "completed"


def test_an_unreadable_input_is_a_failed_line(run: Any, folder: Path) -> None:
    """Not the end of the run."""
    (folder / "b.jpg").unlink()
    (folder / "b.jpg").symlink_to("nowhere")
    code, _, _ = run("run", "squeeze", "in", "-o", "out")
    lines = [json.loads(line) for line in Path("out/results.jsonl").read_text().splitlines()]
    assert code == 4
    assert [line["status"] for line in lines] == ["succeeded", "failed", "succeeded"]
    assert lines[1]["error"]["code"] == "input_unreadable"
    assert lines[2]["file"] == "c.tri"


@pytest.mark.parametrize("state", ["failed", "cancelled", "expired"])
def test_run_says_1_when_the_job_did_not_complete(run: Any, folder: Path, api: FakeApi, state: str) -> None:
    """Whatever its items did."""
    api.state = state
    code, out, _ = run("run", "squeeze", "in", "-o", "out")
    assert code == 1
    assert out.startswith(state)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["frobnicate"], "no command 'frobnicate'"),
        (["run", "-o", "out", "squeeze", "in"], "the operation comes first"),
        (["run", "paint", "in", "-o", "out"], "no operation 'paint'; there are squeeze"),
        (["run", "squeeze", "in"], "required: -o"),
        (["run", "squeeze", "nothing", "-o", "out"], "no such file or folder: nothing"),
        (
            ["run", "squeeze", "in", "-o", "out", "--quality", "500"],
            "500 is not a whole number from 1 to 100",
        ),
        (["run", "squeeze", "in", "-o", "out", "--then"], "--then wants an operation"),
        (["run", "squeeze", "in", "-o", "out", "--then", "paint"], "no operation 'paint'"),
        (["run", "squeeze", "in", "--then", "squeeze", "-o", "out"], "unrecognized arguments: -o out"),
        (["run", "squeeze", "in", "--then", "squeeze"], "required: -o"),
        (["submit", "squeeze"], "name local inputs, or one of"),
        (["status", "job_none"], "no job job_none (job_not_found)"),
        (["fetch", "job_none", "-o", "x"], "no job job_none"),
    ],
)
def test_wrong_usage_is_2_and_one_line(run: Any, folder: Path, arguments: list[str], message: str) -> None:
    """On stderr, without a traceback."""
    code, out, err = run(*arguments)
    assert code == 2
    assert message in err
    assert out == ""
    assert "Traceback" not in err


def test_no_server_is_2(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says how to name or start one."""
    monkeypatch.delenv("TRIPTYCH_URL")
    monkeypatch.setattr("triptych.stack.place.DEFAULT_DATA", Path("none"))
    code, _, err = run("status")
    assert (code, err) == (2, "triptych: no server: set TRIPTYCH_URL, or start one with `triptych up`\n")


def test_no_answer_is_1(run: Any, folder: Path, api: FakeApi) -> None:
    """After all tries."""

    def fault(request: httpx.Request) -> httpx.Response | None:
        raise httpx.ConnectError("connection refused")

    api.faults.append(fault)
    code, _, err = run("run", "squeeze", "in", "-o", "out")
    assert (code, err) == (1, f"triptych: no answer from {API}: connection refused\n")


def test_a_wanted_key_is_2_and_named(run: Any, api: FakeApi) -> None:
    """The variable to set is in the line."""
    api.faults.append(lambda request: problem(401, "unauthenticated", "an API key is needed"))
    code, _, err = run("status")
    assert code == 2
    assert "TRIPTYCH_API_KEY" in err


@pytest.mark.parametrize("moment", ["while it runs", "while it is submitted"])
def test_ctrl_c_cancels_the_job_first(
    run: Any, folder: Path, api: FakeApi, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """130, and the job does not go on without us: also when the answer to its submission was not seen."""
    method = Client.watch if moment == "while it runs" else Client.create_job
    calls = []

    def interrupted(self: Client, *arguments: Any, **named: Any) -> Any:
        calls.append(named)
        answer = method(self, *arguments, **named)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return answer

    monkeypatch.setattr(Client, method.__name__, interrupted)
    code, _, err = run("run", "squeeze", "in", "-o", "out")
    assert code == 130
    assert [job["state"] for job in api.jobs.values()] == ["cancelled"]
    assert err.endswith("stopped\n")


def test_submit_watch_fetch_cancel(run: Any, folder: Path, api: FakeApi) -> None:
    """The same in steps, by the job's id."""
    code, out, _ = run(
        "submit", "squeeze", "in", "--priority", "3", "--expires-at", "2030-01-01T00:00:00+00:00"
    )
    job_id = out.strip()
    assert code == 0
    assert api.bodies[job_id]["priority"] == 3
    assert api.bodies[job_id]["expires_at"].startswith("2030-01-01T00:00:00")
    code, _, err = run("fetch", job_id, "-o", "out")
    assert code == 2
    assert "waits for its end" in err
    assert run("watch", job_id)[0] == 0
    assert run("fetch", job_id, "-o", "out")[0] == 0
    assert Path("out/c.tri").read_bytes() == b"output 2"
    assert json.loads(run("status", job_id, "--json")[1])["id"] == job_id
    assert job_id in run("status")[1]
    assert run("cancel", job_id)[1] == f"{job_id}  cancelled\n"


def test_submit_names_objects_of_the_bucket(run: Any, api: FakeApi) -> None:
    """A prefix, keys, a manifest: nothing is uploaded."""
    run("submit", "squeeze", "--from-prefix", "p/")
    run("submit", "squeeze", "--from-keys", "k/1", "k/2")
    run("submit", "squeeze", "--from-manifest", "m.jsonl")
    assert [body["inputs"] for body in api.bodies.values()] == [
        {"kind": "prefix", "prefix": "p/"},
        {"kind": "keys", "keys": ["k/1", "k/2"]},
        {"kind": "manifest", "key": "m.jsonl"},
    ]


def test_terms_of_an_operation(run: Any) -> None:
    """Whom to name, before anybody ships what a model made."""
    shown = run("operations", "squeeze")[1]
    assert shown.endswith("model net: research\nAsk first.\n  data: photos\n  attribution: Ann\n")
    assert "research" not in run("operations")[1]


def test_search(run: Any, api: FakeApi, client: Client) -> None:
    """Score, name and text, the best first; as JSON for programs; from Python the same."""
    job = client.create_job("describe", PrefixInput(prefix="a/"))
    code, shown, _ = run("search", "a dog", "--job", job.id, "--limit", "2")
    assert (code, shown) == (0, " 0.500  0.jpg  a dog.\n 0.400  1.jpg  a dog.\n")
    hits = json.loads(run("search", "a dog", "--job", job.id, "--json")[1])
    assert [hit["index"] for hit in hits] == [0, 1, 2]
    assert [hit.model_dump() for hit in client.search(job.id, "a dog")] == hits
    assert run("search", "a dog", "--job", "job_none")[0] == 2
    assert run("search", "a dog")[0] == 2


def test_operations_and_help(run: Any) -> None:
    """Params of an operation are listed with their bounds; `triptych` alone says what there is."""
    assert "Make it small." in run("operations")[1]
    assert "how good; from 1 to 100; default 50" in run("operations", "squeeze")[1]
    assert json.loads(run("operations", "--json")[1])[0]["name"] == "squeeze"
    code, out, _ = run("run", "squeeze", "--help")
    assert (code, "--quality N" in out) == (0, True)
    for arguments in ([], ["--help"], ["run", "--help"], ["submit", "--help"]):
        assert run(*arguments)[0] == 0
    assert "130" in run()[1]
    assert json.loads(run("version", "--json")[1])["triptych"]
