"""Celery's settings: one function, the same everywhere, and those that nothing may change unnoticed."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.core.queue import RUN_CONTROL, RUN_SHARD, make_celery, queue_name, queues_of
from pipeline.core.settings import Settings


def settings(**fields: Any) -> Settings:
    return Settings(_env_file=None, redis_url="redis://127.0.0.1:1/0", **fields)  # type: ignore[call-arg]


def conf(**fields: Any) -> dict[str, Any]:
    return dict(make_celery(settings(**fields)).conf.changes)


def test_api_and_every_worker_have_the_same_settings() -> None:
    """What one process says of the broker holds for all: the shortest visibility timeout on it wins."""
    api, device, cuda, control = (
        conf(),
        conf(role="device", worker_threads=7, api_port=9),
        conf(role="device", device="cuda"),
        conf(role="control"),
    )
    for other in (device, cuda, control):
        for name, value in api.items():
            if name != "task_queues":  # which queues it reads is each worker's own
                assert other[name] == value, name
        assert other.keys() == api.keys()


def test_interactive_is_read_before_bulk() -> None:
    """In the order in which the queues are given, not in turn."""
    names = [queue.name for queue in conf()["task_queues"]]
    assert names == ["work.interactive.cpu", "work.bulk.cpu"]
    assert names == list(queues_of(settings()))
    assert conf()["broker_transport_options"]["queue_order_strategy"] == "priority"


def test_each_queue_has_an_exchange_and_a_key_of_its_own() -> None:
    """Two queues bound to one exchange under one key would both get every message."""
    queues = conf(device="cuda")["task_queues"]
    assert [(queue.exchange.name, queue.routing_key) for queue in queues] == [
        (queue.name, queue.name) for queue in queues
    ]
    assert all(queue.exchange.type == "direct" for queue in queues)


def test_messages_are_json_and_nothing_else() -> None:
    """No worker unpickles what somebody put into Redis."""
    assert conf()["accept_content"] == ["json"]
    assert conf()["task_serializer"] == "json"


def test_late_acknowledgement_without_prefetch() -> None:
    """A worker holds what it runs and nothing more, and what it ran when it died is delivered again."""
    found = conf()
    assert found["task_acks_late"]
    assert found["task_reject_on_worker_lost"]
    assert found["worker_disable_prefetch"]
    assert found["worker_prefetch_multiplier"] == 1
    assert found["task_ignore_result"]


def test_a_queue_is_one_list() -> None:
    """Else its length would not be its depth, and room would be counted wrongly."""
    assert conf()["broker_transport_options"]["priority_steps"] == [0]


def test_visibility_is_the_settings() -> None:
    """The one number that an operator may set goes through."""
    assert conf(visibility_timeout_s=777)["broker_transport_options"]["visibility_timeout"] == 777


@pytest.mark.parametrize(
    ("redis_url", "broker_url"),
    [
        ("redis://host:6379/2", "redis://host:6379/2"),
        ("unix:///run/valkey.sock?db=3", "redis+socket:///run/valkey.sock?virtual_host=3"),
        ("unix:///run/valkey.sock", "redis+socket:///run/valkey.sock?virtual_host=0"),
    ],
)
def test_a_unix_socket_is_spelt_as_kombu_wants_it(redis_url: str, broker_url: str) -> None:
    """One setting serves redis-py and kombu, which disagree on its form."""
    given = Settings(_env_file=None, redis_url=redis_url)  # type: ignore[call-arg]
    assert make_celery(given).conf.broker_url == broker_url


def test_queue_names() -> None:
    """A class, a device; the control worker reads its own queue only."""
    assert queue_name("bulk", "cuda") == "work.bulk.cuda"
    assert queues_of(settings(role="control")) == ("control",)
    assert RUN_SHARD != RUN_CONTROL


def test_the_app_is_nobody_elses_default() -> None:
    """Making one must not change Celery's current app: tests and the API make several."""
    first, second = make_celery(settings()), make_celery(settings(visibility_timeout_s=900))
    assert first.conf.broker_transport_options["visibility_timeout"] == 600
    assert second.conf.broker_transport_options["visibility_timeout"] == 900
