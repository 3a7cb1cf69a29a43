"""The remote model: where its URL may lead, what is sent, and what becomes of every kind of answer."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from pipeline.core.endpoint import Endpoint, check_url
from pipeline.core.errors import EndpointRefused, EndpointUnavailable, TriptychError, UnsupportedByModel
from pipeline.core.operation import HandlerContext, Limits
from pipeline.core.settings import SettingsError, load_settings
from pipeline.imaging.decode import decode_image
from pipeline.inference.describe import Describer
from pipeline.inference.describe_engine import Answer, Question
from pipeline.inference.guarded_http import MOST_ANSWER_BYTES, GuardedClient
from pipeline.inference.remote_engine import RemoteEngine
from tests.support.describe import item, receipt_of, swatch
from tests.support.tls_server import NAME, https_server

PUBLIC = "93.184.216.34"
URL = "https://models.example/v1"
GREY = np.full((40, 60, 3), 128, np.uint8)
Respond = Callable[[httpx.Request], httpx.Response]


def said(text: Any = "A grey square.", **choice: Any) -> httpx.Response:
    return httpx.Response(200, json={"choices": [{"message": {"content": text}, **choice}]})


class Remote:
    """A server that remembers what it was asked, and the names that lead to it."""

    def __init__(
        self,
        respond: Respond = lambda request: said(),
        addresses: tuple[str, ...] = (PUBLIC,),
        **endpoint: Any,
    ) -> None:
        self.requests: list[httpx.Request] = []
        self.resolved: list[tuple[str, int]] = []
        self._respond, self._addresses = respond, addresses
        self.endpoint = Endpoint(**{"url": URL, "model": "big", **endpoint})
        client = GuardedClient(
            self.endpoint, transport=httpx.MockTransport(self._handle), resolver=self._resolve
        )
        self.engine = RemoteEngine(self.endpoint, client)

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self._respond(request)

    def _resolve(self, host: str, port: int) -> tuple[str, ...]:
        self.resolved.append((host, port))
        return self._addresses

    def ask(self, **question: Any) -> Answer:
        (answer,) = self.engine.describe([Question(**{"picture": GREY, "samples": None, **question})])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def sent(self) -> Any:
        return json.loads(self.requests[-1].content)


# -- where it leads -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "url",
    [
        "",
        "models.example/v1",
        "ftp://models.example",
        "file:///etc/passwd",
        "http://models.example/v1",
        "https://",
        "https://user:pass@models.example/v1",
        "https://models.example/v1?x=1",
        "https://models.example/v1#x",
        "https://models.example:notaport/",
        "https://127.0.0.1/v1",
        "https://10.0.0.8/v1",
        "https://192.168.1.1/v1",
        "https://169.254.169.254/latest",
        "https://[::1]/v1",
        "https://[fe80::1]/v1",
        "https://[fd00::1]/v1",
        "https://[::ffff:127.0.0.1]/v1",
        "https://[::ffff:169.254.169.254]/v1",
        "https://[64:ff9b::a9fe:a9fe]/v1",
        "https://[2002:7f00:1::]/v1",
        "https://0.0.0.0/v1",
        "https://100.64.0.1/v1",
        "https://224.0.0.1/v1",
    ],
)
def test_urls_that_are_never_right(url: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        check_url(url, private=False)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/v1", "http://10.1.2.3/v1", "http://gpu-box:9/v1"])
def test_private_urls_where_the_operator_says_so(url: str) -> None:
    check_url(url, private=True)
    with pytest.raises(ValueError, match=r"private|http"):
        check_url(url, private=False)


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "0.0.0.0", "224.1.1.1"]
)
def test_never_right_even_in_private(address: str) -> None:
    """Clouds keep keys there."""
    remote = Remote(addresses=(address,), private=True)
    with pytest.raises(EndpointRefused):
        remote.ask()
    assert not remote.requests


@pytest.mark.parametrize(
    "addresses", [("127.0.0.1",), ("10.0.0.1",), ("::1",), (PUBLIC, "192.168.0.1"), ("::ffff:10.0.0.1",)]
)
def test_a_name_that_leads_inside(addresses: tuple[str, ...]) -> None:
    """One such address among good ones is enough: nothing is sent."""
    remote = Remote(addresses=addresses)
    with pytest.raises(EndpointRefused, match="private network"):
        remote.ask()
    assert not remote.requests


def test_the_address_that_was_checked_is_the_one_connected_to() -> None:
    """A name that answers something else a moment later gains nothing; TLS still asks for the name."""
    remote = Remote()
    remote.ask()
    request = remote.requests[0]
    assert str(request.url) == f"https://{PUBLIC}/v1/chat/completions"
    assert request.headers["host"] == "models.example"
    assert request.extensions["sni_hostname"] == "models.example"
    assert remote.resolved == [("models.example", 443)]
    remote.ask()
    assert len(remote.resolved) == 2  # looked at again for each connection


def test_ports_and_ipv6() -> None:
    remote = Remote(addresses=("2606:2800:220:1::1",), url="https://models.example:8443/v1")
    remote.ask()
    assert str(remote.requests[0].url) == "https://[2606:2800:220:1::1]:8443/v1/chat/completions"
    assert remote.requests[0].headers["host"] == "models.example:8443"


def test_over_tls_the_name_counts(tmp_path: Path) -> None:
    """The certificate must be the name's though an address is connected to; another name is refused."""
    pem = tmp_path / "server.pem"
    with https_server(b'{"fine": true}', pem) as server:

        def client(name: str) -> GuardedClient:
            endpoint = Endpoint(f"https://{name}:{server.port}/v1", "m", private=True)
            trust = ssl.create_default_context(cafile=str(pem))
            return GuardedClient(endpoint, trust=trust, resolver=lambda host, port: ["127.0.0.1"])

        assert client(NAME).post("/chat/completions", {}) == {"fine": True}
        assert (server.hosts, server.names) == ([f"{NAME}:{server.port}"], [NAME])
        with pytest.raises(EndpointUnavailable, match="ConnectError"):
            client("other.test").post("/chat/completions", {})
        assert len(server.hosts) == 1


def test_an_address_out_of_reach_is_passed_over() -> None:
    """The next one of the name is tried; a server that is slow is not asked twice."""

    def first_is_down(request: httpx.Request) -> httpx.Response:
        if request.url.host == "8.8.8.8":
            raise httpx.ConnectError("down")
        return said()

    remote = Remote(first_is_down, addresses=("8.8.8.8", PUBLIC))
    assert remote.ask().text == "A grey square."
    assert [request.url.host for request in remote.requests] == ["8.8.8.8", PUBLIC]

    def slow(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("slow")

    remote = Remote(slow, addresses=("8.8.8.8", PUBLIC))
    with pytest.raises(EndpointUnavailable):
        remote.ask()
    assert len(remote.requests) == 1


def test_redirects_are_not_followed() -> None:
    remote = Remote(lambda request: httpx.Response(307, headers={"Location": "http://169.254.169.254/"}))
    with pytest.raises(EndpointRefused, match="answered 307"):
        remote.ask()
    assert len(remote.requests) == 1


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    assert GuardedClient(Endpoint(URL, "m"))._client.trust_env is False


# -- what is sent, and what comes back ------------------------------------------------------------------
def test_what_is_sent() -> None:
    """The picture, at most 1024 px a side, the preset's words and the language; the key only as a header."""
    remote = Remote(api_key="secret")
    big = remote.engine.prepare(np.full((3000, 2000, 3), 90, np.uint8))
    assert big.shape == (1024, 683, 3)
    remote.ask(picture=big, preset="alt_text", language="zh")
    sent = remote.sent()
    assert (sent["model"], sent["temperature"], sent["max_tokens"]) == ("big", 0, 60)
    picture, words = sent["messages"][0]["content"]
    head, _, data = picture["image_url"]["url"].partition(",")
    assert head == "data:image/jpeg;base64"
    assert decode_image(base64.b64decode(data), Limits()).width_px == 683
    assert "alt text" in words["text"]
    assert "Chinese" in words["text"]
    assert remote.requests[0].headers["authorization"] == "Bearer secret"
    assert b"secret" not in remote.requests[0].content
    assert "secret" not in repr(remote.endpoint)


def test_prompts_are_the_users_words() -> None:
    remote = Remote()
    remote.ask(prompt="How many cats?", max_tokens=7)
    assert remote.sent()["messages"][0]["content"][1]["text"].startswith("How many cats?\n")
    assert remote.sent()["max_tokens"] == 7


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("  A cat.\n", "A cat."),
        ('"A cat."', "A cat."),
        ("<think>hm</think>A cat.", "A cat."),
        ("A\x00 cat\x1b.", "A cat ."),
    ],
)
def test_texts_are_cleaned(text: str, plain: str) -> None:
    assert Remote(lambda request: said(text)).ask().text == plain


def test_cut_texts_say_so() -> None:
    assert Remote(lambda request: said(finish_reason="length")).ask().truncated
    assert not Remote(lambda request: said(finish_reason="stop")).ask().truncated


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_may_pass(status: int) -> None:
    with pytest.raises(EndpointUnavailable, match=str(status)):
        Remote(lambda request: httpx.Response(status)).ask()


def test_silence_may_pass() -> None:
    def silent(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("slow")

    with pytest.raises(EndpointUnavailable, match="did not answer"):
        Remote(silent).ask()
    with pytest.raises(EndpointUnavailable, match="no address"):
        Remote(addresses=()).ask()


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(401),
        httpx.Response(404),
        httpx.Response(200, content=b"<html>"),
        httpx.Response(200, content=b"[" * 100_000),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"choices": []}),
        httpx.Response(200, json={"choices": [{"message": {}}]}),
        httpx.Response(200, json={"choices": ["x"]}),
        said(None),
        said(" \n"),
        said(["parts"]),
        httpx.Response(200, content=b" " * (MOST_ANSWER_BYTES + 1)),
    ],
)
def test_answers_that_nobody_can_read(answer: httpx.Response) -> None:
    with pytest.raises(EndpointRefused):
        Remote(lambda request: answer).ask()


def test_each_error_is_its_items_own() -> None:
    """Of several asked at once."""

    def every_second(request: httpx.Request) -> httpx.Response:
        return said() if b"first" in request.content else httpx.Response(500)

    remote = Remote(every_second)
    answers = remote.engine.describe(
        [Question(GREY, None, prompt=word) for word in ("first", "second", "first")]
    )
    assert [isinstance(answer, Answer) for answer in answers] == [True, False, True]


def test_sounds_are_not_sent() -> None:
    with pytest.raises(UnsupportedByModel):
        Remote().ask(samples=np.ones(100, np.float32))
    with pytest.raises(UnsupportedByModel):
        Remote().engine.embed_texts(["a"])


def test_through_the_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long answer becomes an alt text; the receipt names the model."""
    remote = Remote(lambda request: said("word " * 50))
    monkeypatch.setattr("pipeline.inference.describe_engines.engine_at", lambda endpoint: remote.engine)
    handler = Describer(HandlerContext("cpu", {}, endpoint=remote.endpoint))
    receipt = receipt_of(handler.run(item(swatch(1, 2, 250), model="remote", preset="alt_text")))
    assert len(receipt.text) <= 125
    assert receipt.truncated
    assert (receipt.model, receipt.score, receipt.tags) == ("remote:big", None, {})


def test_off_unless_set_up() -> None:
    with pytest.raises(TriptychError, match="TRIPTYCH_ENDPOINT_URL"):
        Describer(HandlerContext("cpu", {})).run(item(swatch(1, 2, 3), model="remote"))
    assert load_settings().endpoint is None


def test_settings_are_checked_at_start() -> None:
    """Where it leads, and that a model is named."""
    with pytest.raises(SettingsError, match="TRIPTYCH_ENDPOINT_URL: http:// is only for private"):
        load_settings(endpoint_url="http://models.example/v1", endpoint_model="m")
    with pytest.raises(SettingsError, match="TRIPTYCH_ENDPOINT_MODEL"):
        load_settings(endpoint_url=URL)
    found = load_settings(endpoint_url=f"{URL}/", endpoint_model="m", endpoint_languages="en, de").endpoint
    assert found == Endpoint(URL, "m", languages=("en", "de"))
