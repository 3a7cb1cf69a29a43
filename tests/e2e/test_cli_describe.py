"""What people do with describe, through the whole stack: captions, sidecars, sounds, search, mistakes."""

from __future__ import annotations

import json
import threading
import wave
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from tests.support.codec import landscape
from tests.support.command_line import Up, running_up, triptych
from tests.support.espeak import put_espeak
from tests.support.sound_bytes import sound, tone
from triptych import ApiError, Client

COUNT = 12


class Endpoint(BaseHTTPRequestHandler):
    """A remote model that says how many bytes it was sent."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        picture, words = asked["messages"][0]["content"]
        said = f"{asked['model']} saw {picture['type']}: {words['text'].splitlines()[0]}"
        body = json.dumps({"choices": [{"message": {"content": said}}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keeps quiet."""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[dict[str, str]]:
    """Settings that lead to a remote model on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield {
        "TRIPTYCH_ENDPOINT_URL": f"http://127.0.0.1:{server.server_address[1]}/v1",
        "TRIPTYCH_ENDPOINT_MODEL": "big",
        "TRIPTYCH_ENDPOINT_PRIVATE": "true",
    }
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory, endpoint: dict[str, str]) -> Iterator[Up]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", put_espeak(tmp_path_factory.mktemp("bin")))
        with running_up(tmp_path_factory.mktemp("home"), "--workers", "1", **endpoint) as stack:
            yield stack


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos, one of sounds, one with what cannot be described."""
    root = tmp_path_factory.mktemp("place")
    for name in ("photos", "sounds", "broken"):
        (root / name).mkdir()
    for number in range(COUNT):
        Image.fromarray(landscape(60, 80, seed=number)).save(root / "photos" / f"{number:02d}.jpg")
    (root / "sounds/low.flac").write_bytes(sound(tone(200), "flac"))
    (root / "sounds/high.mp3").write_bytes(sound(tone(3000), "mp3"))
    (root / "broken/cut.flac").write_bytes(sound(form="flac")[:900])
    (root / "broken/notes.txt").write_text("neither a picture nor a sound")
    (root / "broken/silent.wav").write_bytes(sound(np.zeros(48_000)))
    (root / "broken/long.flac").write_bytes(sound(np.zeros(8000 * 7200), "flac", rate=8000))
    Image.new("L", (20_000, 20_000)).save(root / "broken/bomb.png")
    return root


def run(up: Up, place: Path, *arguments: str) -> CompletedProcess[str]:
    return triptych(*arguments, env={**up.env, "TRIPTYCH_URL": up.url}, cwd=place)


def ran(up: Up, place: Path, *arguments: str) -> CompletedProcess[str]:
    done = run(up, place, *arguments)
    assert done.returncode == 0, done.stderr
    return done


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "results.jsonl").read_text(encoding="utf-8").splitlines()]


def test_a_folder_in_words(up: Up, place: Path) -> None:
    """The texts stand in results.jsonl, in order, and under the photos of the report."""
    ran(up, place, "run", "describe", "photos", "-o", "out")
    assert sorted(path.name for path in (place / "out").iterdir()) == ["report.html", "results.jsonl"]
    found = rows(place / "out")
    assert [row["custom_id"] for row in found] == [f"photos/{number:02d}.jpg" for number in range(COUNT)]
    receipts = [row["receipt"] for row in found]
    assert all(receipt["text"][0].isupper() and receipt["text"].endswith(".") for receipt in receipts)
    assert {(receipt["kind"], receipt["language"], receipt["preset"]) for receipt in receipts} == {
        ("image", "en", "caption")
    }
    assert all(0 < receipt["score"] <= 1 for receipt in receipts)
    report = (place / "out/report.html").read_text(encoding="utf-8")
    assert report.count("<blockquote") == report.count("<figcaption>original</figcaption>") == COUNT
    assert "Terms of the models" in report


def test_chinese_sidecars(up: Up, place: Path) -> None:
    """An .xmp file a photo; the photos are as they were."""
    before = {path.name: path.read_bytes() for path in (place / "photos").iterdir()}
    ran(up, place, "run", "describe", "photos", "-o", "zh", "--language", "zh", "--write", "xmp")
    names = sorted(path.name for path in (place / "zh").glob("*.xmp"))
    assert names == [f"{number:02d}.xmp" for number in range(COUNT)]
    for row in rows(place / "zh"):
        packet = ElementTree.parse(place / "zh" / row["file"]).getroot()
        texts = [one.text for one in packet.iter("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}li")]
        assert texts[0] == row["receipt"]["text"]
        assert any("\u4e00" <= letter <= "\u9fff" for letter in row["receipt"]["text"])
    assert {path.name: path.read_bytes() for path in (place / "photos").iterdir()} == before


def test_sounds_alone_and_beside_a_photo(up: Up, place: Path) -> None:
    """A folder of sounds; a photo with a local sound, which is uploaded by the way."""
    ran(up, place, "run", "describe", "sounds", "-o", "heard")
    assert [row["receipt"]["kind"] for row in rows(place / "heard")] == ["sound", "sound"]
    assert all(row["receipt"]["sounds"] for row in rows(place / "heard"))
    ran(up, place, "run", "describe", "photos/00.jpg", "-o", "both", "--audio", "sounds/low.flac")
    (row,) = rows(place / "both")
    assert row["receipt"]["kind"] == "image+sound"
    assert row["receipt"]["audio_s"] == 1.0
    with Client(up.url) as client:
        upload = client.upload([place / "photos/00.jpg"])
        params = {"audio": place / "sounds/low.flac"}
        job = client.create_job("describe", upload.inputs, params=params)
        client.wait(job.id)
        (line,) = client.results(job.id)
    assert line.receipt is not None
    assert line.receipt["text"] == row["receipt"]["text"]


def test_speech_and_attention(up: Up, place: Path) -> None:
    """A WAV of the text, a picture of where the model looked."""
    ran(up, place, "run", "describe", "photos/0[0-2].jpg", "-o", "spoken", "--write", "speech")
    for row in rows(place / "spoken"):
        with wave.open(str(place / "spoken" / row["file"])) as file:
            assert file.readframes(file.getnframes()).decode() == f"en:{row['receipt']['text']}"
    ran(up, place, "run", "describe", "photos/0[0-2].jpg", "-o", "looked", "--write", "attention")
    for row in rows(place / "looked"):
        words = row["receipt"]["attention_words"]
        assert " ".join(words).rstrip(".") == row["receipt"]["text"].rstrip(".")
        with Image.open(place / "looked" / row["file"]) as sheet:
            assert sheet.format == "PNG"


def test_a_described_job_is_searched(up: Up, place: Path) -> None:
    """By words, from the command line and from Python; a photo's own caption ranks it as its score says."""
    done = ran(up, place, "submit", "describe", "photos", "--embedding", "--json")
    job_id = json.loads(done.stdout)["id"]
    ran(up, place, "watch", job_id)
    done = ran(up, place, "search", "a mountain under a blue sky", "--job", job_id, "--limit", "5", "--json")
    hits = json.loads(done.stdout)
    assert len(hits) == 5
    scores = [hit["score"] for hit in hits]
    assert scores == sorted(scores, reverse=True)
    with Client(up.url) as client:
        texts = {line.custom_id: (line.receipt or {})["text"] for line in client.results(job_id)}
        assert all(texts[hit["custom_id"]] == hit["text"] for hit in hits)
        same = client.search(job_id, "a mountain under a blue sky", limit=5)
        assert [hit.model_dump() for hit in same] == hits
        assert len(client.search(job_id, "x", limit=100)) == COUNT
        assert all(job.steps[0].operation != "search" for job in client.jobs().jobs)
    shown = ran(up, place, "search", "a mountain", "--job", job_id, "--limit", "3").stdout
    assert len(shown.splitlines()) == 3


def test_a_remote_model(up: Up, place: Path) -> None:
    """It gets the picture and the words; what it says stands in the results as any other text."""
    asked = ("--model", "remote", "--prompt", "How many trees?")
    ran(up, place, "run", "describe", "photos/0[0-3].jpg", "-o", "remote", *asked)
    for row in rows(place / "remote"):
        assert row["receipt"]["text"] == "big saw image_url: How many trees?"
        assert row["receipt"]["model"] == "remote:big"
    assert run(up, place, "run", "describe", "sounds", "-o", "no", *asked).returncode == 4
    assert {row["error"]["code"] for row in rows(place / "no")} == {"unsupported_by_model"}


def test_jobs_without_embeddings_cannot_be_searched(up: Up, place: Path) -> None:
    done = ran(up, place, "submit", "describe", "photos/00.jpg", "--json")
    job_id = json.loads(done.stdout)["id"]
    ran(up, place, "watch", job_id)
    done = run(up, place, "search", "a dog", "--job", job_id)
    assert done.returncode == 2
    assert "embedding=true" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--language", "de"], "writes en, zh, not 'de'"),
        (["--preset", "detailed"], "not 'detailed'"),
        (["--prompt", "Why?"], "takes no prompt"),
        (["--prompt", "x" * 2001], "2000 characters"),
        (["--max-tokens", "500"], "tokens at most"),
        (["--model", "remote", "--beams", "2"], "1 beam at most"),
        (["--model", "nobody"], "no artifact 'nobody'"),
        (["--preset", "poem"], "not one of caption, alt_text"),
    ],
)
def test_wrong_words(up: Up, place: Path, arguments: list[str], words: str) -> None:
    """Refused before anything runs: exit code 2, and what is wrong."""
    done = run(up, place, "run", "describe", "photos/00.jpg", "-o", "no", *arguments)
    assert done.returncode == 2
    assert words in done.stderr


def test_wrong_files(up: Up, place: Path) -> None:
    """Each fails by a name of its own; the others of the job do not."""
    done = run(up, place, "run", "describe", "broken", "photos/00.jpg", "-o", "mixed")
    assert done.returncode == 4
    codes = {row["custom_id"]: (row.get("error") or {}).get("code") for row in rows(place / "mixed")}
    assert {name.rpartition("/")[2]: code for name, code in codes.items()} == {
        "bomb.png": "image_too_large",
        "cut.flac": "undecodable_audio",
        "long.flac": "audio_too_long",
        "notes.txt": "unsupported_format",
        "silent.wav": "silent_audio",
        "00.jpg": None,
    }


def test_what_the_operations_terms_are(up: Up, place: Path) -> None:
    shown = ran(up, place, "operations", "describe").stdout
    assert "model description: weights: non-commercial research use" in shown
    assert "attribution: image encoder: EfficientNet-Lite1" in shown


def test_a_hit_is_no_job(up: Up) -> None:
    with Client(up.url) as client, pytest.raises(ApiError, match="no job"):
        client.search("job_" + "0" * 32, "a dog")
