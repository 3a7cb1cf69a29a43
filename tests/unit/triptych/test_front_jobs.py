"""Jobs through the client: submitted once, watched to their end, read in full."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import httpx
import pytest

from tests.support.fake_api import API, FakeApi, problem
from triptych import ApiError, Client, JobState, PrefixInput, Unreachable

INPUTS = PrefixInput(prefix="owners/ann/in/")


def test_a_job_is_submitted_once_however_often_it_is_tried(api: FakeApi, client: Client) -> None:
    """Every try of a call carries the same Idempotency-Key; another call carries another."""
    answers = iter([httpx.Response(502), httpx.Response(502)])
    api.faults.append(lambda request: next(answers, None))
    client.create_job("squeeze", INPUTS, params={"quality": 3})
    keys = [request.headers["Idempotency-Key"] for request in api.seen]
    assert len(keys) == 3
    assert len(set(keys)) == 1
    client.create_job("squeeze", INPUTS)
    assert api.seen[-1].headers["Idempotency-Key"] != keys[0]


def test_the_request_says_what_was_asked(api: FakeApi, client: Client) -> None:
    """Operation, params, inputs and the rest stand in the body as the contract has them."""
    job = client.create_job("squeeze", INPUTS, params={"quality": 3}, name="n", interactive=True, priority=5)
    assert api.bodies[job.id] == {
        "steps": [{"operation": "squeeze", "params": {"quality": 3}}],
        "inputs": {"kind": "prefix", "prefix": "owners/ann/in/"},
        "class": "interactive",
        "device": "auto",
        "priority": 5,
        "paused": False,
        "name": "n",
    }


@pytest.mark.parametrize("events", [True, False])
def test_watching_ends_with_the_job(api: FakeApi, client: Client, waits: list[float], events: bool) -> None:
    """By the event stream, and by polling where there is none."""
    api.events = events
    job = client.create_job("squeeze", INPUTS)
    states = [seen.state for seen in client.watch(job.id)]
    assert states[0] is JobState.RUNNING
    assert states[-1] is JobState.COMPLETED
    assert api.polls == (0 if events else 2)


def test_a_stream_that_breaks_is_taken_up_again(api: FakeApi, client: Client) -> None:
    """A server that restarts in mid-stream costs one poll."""
    breaks = iter([True])

    def fault(request: httpx.Request) -> httpx.Response | None:
        if request.url.path.endswith("/events") and next(breaks, False):
            raise httpx.ReadError("gone")
        return None

    api.faults.append(fault)
    job = client.create_job("squeeze", INPUTS)
    assert client.wait(job.id).state is JobState.COMPLETED
    assert api.polls == 1


def test_watching_a_job_that_is_not_there(client: Client) -> None:
    """It is the server's refusal, not an endless poll."""
    with pytest.raises(ApiError) as caught:
        client.wait("job_" + "0" * 32)
    assert caught.value.code == "job_not_found"


def test_waiting_has_an_end(api: FakeApi) -> None:
    """A job that goes on is left alone after the time that the caller gave."""
    api.events, api.state = False, "running"
    with Client(API, http=api.transport) as client:
        job = client.create_job("squeeze", INPUTS)
        with pytest.raises(TimeoutError):
            client.wait(job.id, timeout_s=0.05)


def test_results_are_read_through_every_cursor(api: FakeApi, client: Client) -> None:
    """All lines of all pages, in order, once."""
    api.pages[0] = [{"name": f"{number}\u2028.jpg", "size_bytes": 1} for number in range(5)]
    job = client.create_job("squeeze", INPUTS)
    lines = list(client.results(job.id))
    assert [line.index for line in lines] == [0, 1, 2, 3, 4]
    assert lines[4].custom_id == "4\u2028.jpg"
    assert sum(request.endswith("/results") for request in api.requests) == 3


def test_leaving_an_iteration_early_leaves_nothing_behind(api: FakeApi, client: Client) -> None:
    """`break` closes what runs in the client's thread."""
    api.pages[0] = [{"name": f"{number}.jpg", "size_bytes": 1} for number in range(5)]
    job = client.create_job("squeeze", INPUTS)
    for line in client.results(job.id):
        assert line.index == 0
        break
    assert client.cancel_job(job.id).state is JobState.CANCELLED


def test_errors_carry_what_the_server_said(api: FakeApi, client: Client) -> None:
    """Status, code, sentence and request id of the problem document."""
    answer = problem(422, "invalid_params", "quality: at most 100")
    answer.headers["X-Request-Id"] = "req-1"
    api.faults.append(lambda request: answer)
    with pytest.raises(ApiError, match="at most 100") as caught:
        client.operations()
    assert (caught.value.status, caught.value.code, caught.value.request_id) == (
        422,
        "invalid_params",
        "req-1",
    )


def test_an_error_that_is_no_problem_document(api: FakeApi, client: Client) -> None:
    """A proxy's page still gives a sentence and a code."""
    api.faults.append(lambda request: httpx.Response(403, text="<html>no</html>"))
    with pytest.raises(ApiError, match=r"api\.test answered 403") as caught:
        client.operations()
    assert caught.value.code == "http_403"


@pytest.mark.parametrize("url", ["ftp://x.test", "x.test:1", "http://[::1"])
def test_an_address_that_is_none(url: str) -> None:
    """A wrong address is said at once, not tried again."""
    with pytest.raises(Unreachable), Client(url) as client:
        client.operations()


def test_an_interrupted_watch_has_ended_when_the_interrupt_arrives(
    api: FakeApi, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What runs in the client's thread is cancelled and gone: the client can be used at once."""
    waiting, real = threading.Event(), threading.Event.wait

    def interrupted(event: threading.Event, timeout: float | None = None) -> bool:
        monkeypatch.setattr(threading.Event, "wait", real)
        assert waiting.wait(5)
        raise KeyboardInterrupt

    async def silence(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/events"):
            waiting.set()
            await asyncio.sleep(60)
        return await api.handle(request)

    with Client(API, http=httpx.MockTransport(silence)) as slow:
        job = slow.create_job("squeeze", INPUTS)
        monkeypatch.setattr(threading.Event, "wait", interrupted)
        watching = slow.watch(job.id)
        with pytest.raises(KeyboardInterrupt):
            next(watching)
        assert slow.cancel_job(job.id).state is JobState.CANCELLED


def test_an_interrupt_before_the_loop_knows_leaves_nothing(
    api: FakeApi, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No coroutine that is never awaited (a warning, and so an error here), and the client goes on."""
    real = client._loop.call_soon_threadsafe
    interrupts = iter([KeyboardInterrupt()])

    def interrupted(callback: Any, *args: Any) -> Any:
        for interrupt in interrupts:
            raise interrupt
        return real(callback, *args)

    monkeypatch.setattr(client._loop, "call_soon_threadsafe", interrupted)
    with pytest.raises(KeyboardInterrupt):
        client.operations()
    assert client.operations()[0].name == "squeeze"
