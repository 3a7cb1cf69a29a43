"""Celery as API and workers share it: settings, queue names, task names, and how entries are sent.

A message carries (job_id, entry, token) and nothing else: no bytes, no import paths. The API sends by name
and never imports `workers`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from celery import Celery
from kombu.entity import Exchange, Queue
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from pipeline.core.errors import BrokerUnavailable
from pipeline.core.ledger import CONTROL, Ledger, Sending
from pipeline.core.operation import Device
from pipeline.core.settings import Settings

RUN_SHARD = "triptych.run_shard"
RUN_CONTROL = "triptych.run_control"
CLASSES = ("interactive", "bulk")  # in the order in which a worker reads them


def queue_name(job_class: str, device: Device) -> str:
    """`work.<class>.<device>`, e.g. "work.bulk.cpu"."""
    return f"work.{job_class}.{device}"


def queues_of(settings: Settings) -> tuple[str, ...]:
    """The queues that a worker with these settings reads, in that order."""
    if settings.role == "control":
        return (CONTROL,)
    return tuple(queue_name(job_class, settings.device) for job_class in CLASSES)


def make_celery(settings: Settings) -> Celery:
    """The Celery app, the same in every process: the shortest visibility timeout on a broker wins."""
    app = Celery("triptych", broker=settings.broker_url, set_as_current=False)
    app.conf.update(
        task_queues=[_queue(name) for name in queues_of(settings)],
        task_default_queue=CONTROL,
        task_create_missing_queues=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        task_send_sent_event=False,
        worker_pool="threads",
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,  # with late acks: a worker holds what it runs, nothing more
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_enable_soft_shutdown_on_idle=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "visibility_timeout": settings.visibility_timeout_s,
            "queue_order_strategy": "priority",  # in the order given: interactive before bulk
            "priority_steps": [0],  # one list a queue, so that its length is its depth
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "unacked_mutex_expire": 10,  # 300 s would pass if a worker died while it restored
            "health_check_interval": 10,
            "socket_keepalive": True,
            "socket_connect_timeout": 5,
            "socket_timeout": 10,
        },
    )
    return app


def _queue(name: str) -> Any:
    # An exchange and a key of its own: with Celery's defaults all queues would share one, and every message
    # would go to each of them.
    return Queue(name, Exchange(name, type="direct"), routing_key=name)  # type: ignore[no-untyped-call]


class Sender:
    """Sends what the ledger dispatches."""

    def __init__(self, app: Celery, ledger: Ledger) -> None:
        self._app = app
        self._ledger = ledger

    def dispatch(self, queue: str) -> int:
        """Moves work from the ledger to the broker while there is room.

        Returns:
            How many messages were sent.
        """
        with self._producer() as producer:
            sendings = self._ledger.dispatch(queue, _depth(producer, queue))
            self._send(producer, sendings)
        return len(sendings)

    def send(self, sendings: Sequence[Sending]) -> None:
        """Sends messages. One that is lost on the way is the steward's to find."""
        if sendings:
            with self._producer() as producer:
                self._send(producer, sendings)

    def depth(self, queue: str) -> int:
        """How many messages the broker holds for a queue that no worker has taken."""
        with self._producer() as producer:
            return _depth(producer, queue)

    def _send(self, producer: Any, sendings: Sequence[Sending]) -> None:
        for sending in sendings:
            self._app.send_task(
                RUN_CONTROL if sending.queue == CONTROL else RUN_SHARD,
                args=[sending.job_id, sending.entry, sending.token],
                queue=sending.queue,
                argsrepr=f"({sending.job_id}, {sending.entry})",  # what Flower and `celery inspect` show
                producer=producer,
                retry=False,
            )

    @contextmanager
    def _producer(self) -> Iterator[Any]:
        try:
            with self._app.producer_pool.acquire(block=True) as producer:
                yield producer
        except (OperationalError, RedisError, OSError) as error:
            raise BrokerUnavailable(f"the broker did not answer: {error}") from error


def _depth(producer: Any, queue: str) -> int:
    try:
        return int(producer.channel.queue_declare(queue, passive=True).message_count)
    except producer.connection.channel_errors:
        return 0  # nobody has declared it yet
