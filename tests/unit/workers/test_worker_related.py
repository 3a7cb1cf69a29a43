"""Objects that params name: fetched once a job, within the job's reach, with errors that say which."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from pipeline.core.chain import as_one
from pipeline.core.errors import Forbidden, InvalidInput, StorageUnavailable, UnusableObject
from pipeline.core.jobs import InlineManifestInput, Item, JobSpec, ManifestLine, Step
from pipeline.core.keys import UploadKeys, memo_key
from pipeline.core.memory import MemoryObjectStore
from pipeline.core.operation import ItemInput, ItemOutput
from pipeline.core.references import nth_file
from pipeline.operations import Registry
from pipeline.operations.stylize import StylizeParams
from tests.unit.workers.workbench import Bench, BytesIn, ScriptedLedger, lease, spec
from workers.inputs import items_of
from workers.memo import StoreMemo
from workers.pulse import Hand
from workers.related import KEPT_BYTES, LARGEST_KEPT_BYTES, Related
from workers.runner import ShardRun

STYLE = "owners/ann/styles/a.jpg"
UPLOAD = "upl_" + "7" * 32


class CountingStore(MemoryObjectStore):
    """Counts gets by key."""

    def __init__(self) -> None:
        super().__init__()
        self.gets: list[str] = []

    def get(self, key: str, *, max_bytes: int | None = None) -> bytes:
        self.gets.append(key)
        return super().get(key, max_bytes=max_bytes)


@pytest.fixture
def store() -> CountingStore:
    found = CountingStore()
    found.put(STYLE, b"style")
    return found


def job(number: int = 0, owner: str = "ann") -> JobSpec:
    """A job of Ann's, who reads her own prefix."""
    given = spec("stylize", id=f"job_{number:032x}", owner=owner)
    return given.model_copy(update={"read_prefixes": [f"owners/{owner}/"]})


def params(*styles: str, mask: tuple[str, ...] = ()) -> StylizeParams:
    return StylizeParams(styles=styles, mask=mask)


def test_once_a_job(store: CountingStore) -> None:
    """However many items; another job looks again, and sees what was put since."""
    related = Related(store, 1000)
    for _ in range(5):
        found = related.fetch(job(), params("wave", STYLE))
        assert list(found) == [STYLE]
        assert (found[STYLE].data, found[STYLE].sha256) == (b"style", hashlib.sha256(b"style").hexdigest())
    store.put(STYLE, b"other")
    assert related.fetch(job(), params(STYLE))[STYLE].data == b"style"
    assert related.fetch(job(1), params(STYLE))[STYLE].data == b"other"
    assert store.gets == [STYLE, STYLE]


def test_what_is_kept_is_bounded(store: CountingStore) -> None:
    """Large objects are fetched each time; small ones push the oldest out."""
    large, half = "owners/ann/large", LARGEST_KEPT_BYTES // 2
    store.put(large, b"x" * (LARGEST_KEPT_BYTES + 1))
    related = Related(store, 1 << 30)
    for _ in range(2):
        related.fetch(job(), params(large))
    assert store.gets.count(large) == 2
    many = [f"owners/ann/{number}.png" for number in range(KEPT_BYTES // half + 2)]
    for key in many:
        store.put(key, b"x" * half)
        related.fetch(job(), params(key))
    assert related._kept_bytes <= KEPT_BYTES
    related.fetch(job(), params(many[-1]))
    related.fetch(job(), params(many[0]))
    assert (store.gets.count(many[-1]), store.gets.count(many[0])) == (1, 2)


def test_uploads_are_the_owners(store: CountingStore) -> None:
    """A file of an upload is found under the job's owner, whoever else has one of that id."""
    store.put(UploadKeys("ann", UPLOAD).file(0, 0), b"ann's")
    store.put(UploadKeys("bob", UPLOAD).file(0, 0), b"bob's")
    first = str(nth_file(UPLOAD, 0))
    for owner, body in (("ann", b"ann's"), ("bob", b"bob's")):
        found = Related(store, 1000).fetch(job(owner=owner), params(first, UPLOAD))
        assert [found[name].data for name in (first, UPLOAD)] == [body, body]


@pytest.mark.parametrize(
    ("reference", "error"),
    [
        ("owners/bob/styles/a.jpg", Forbidden),
        ("jobs/x/job.json", Forbidden),
        ("owners/ann/../bob/a.jpg", InvalidInput),
        ("owners/ann/missing.jpg", UnusableObject),
        (f"{UPLOAD}/0/1", UnusableObject),
    ],
)
def test_what_cannot_be_had(store: CountingStore, reference: str, error: type[Exception]) -> None:
    """Out of reach, no key, or not there: nothing but the own is ever read."""
    with pytest.raises(error, match=reference.rpartition("/")[2]):
        Related(store, 1000).fetch(job(), params(reference))
    assert not any("bob" in key or key.startswith("jobs/") for key in store.gets)


def test_too_large_is_unusable(store: CountingStore) -> None:
    with pytest.raises(UnusableObject, match=r"a\.jpg.*allowed"):
        Related(store, 4).fetch(job(), params(STYLE))


def test_all_together_are_bounded(store: CountingStore) -> None:
    """Sixteen large styles are not sixteen times as much memory, kept ones included."""
    other = "owners/ann/styles/b.jpg"
    store.put(other, b"other")
    related = Related(store, 9)
    for reference in (STYLE, other):
        assert related.fetch(job(), params(reference))
    with pytest.raises(UnusableObject, match="more than 9 bytes together"):
        related.fetch(job(), params(STYLE, other))
    with pytest.raises(UnusableObject, match=r"b\.jpg.*allowed"):
        Related(store, 9).fetch(job(), params(STYLE, other))
    assert list(related.fetch(job(), params(STYLE, STYLE))) == [STYLE]


def test_items_get_what_their_params_name(bench: Bench) -> None:
    """Each item its own; one whose object is missing fails alone, by a name."""

    def told(item: ItemInput) -> ItemOutput:
        body = b"+".join(item.objects[name].data for name in item.params.objects())
        return ItemOutput(BytesIn(bytes_in=len(item.data)), body)

    bench.handler._run = told
    keys = bench.put_inputs("0.jpg", "1.jpg", "2.jpg")
    bench.store.put(STYLE, b"style")
    bench.store.put("owners/ann/m.png", b"mask")
    more: list[dict[str, Any] | None] = [
        None,
        {"mask": ["owners/ann/m.png"]},
        {"styles": ["owners/ann/gone.jpg"]},
    ]
    items = [Item(index=i, custom_id=f"c{i}", input=keys[i], params=more[i]) for i in range(3)]
    given = spec(
        "stylize",
        steps=[Step(operation="stylize", params={"styles": [STYLE]})],
        read_prefixes=["owners/ann/"],
    )
    given = given.model_copy(update={"artifacts": {"stylization": "0" * 64}})
    hand = Hand(lease("0"), ScriptedLedger())  # type: ignore[arg-type]
    lines = ShardRun(bench.runtime, hand, given).run(items)
    assert [line.status for line in lines] == ["succeeded", "succeeded", "failed"]
    bodies = [bench.store.get(line.output or "") for line in lines[:2]]
    assert bodies == [b"style", b"style+mask"]
    assert (lines[2].error or {})["code"] == "unusable_object"
    assert "owners/ann/gone.jpg" in (lines[2].error or {})["message"]


def test_manifest_lines_are_held_to_the_reach(store: CountingStore) -> None:
    """A style that a line of a manifest names is checked when the job is planned, like its input."""
    lines = [
        ManifestLine(custom_id=str(number), input="owners/ann/in.jpg", params=given)
        for number, given in enumerate(
            (None, {"styles": ["owners/bob/x.jpg"]}, {"styles": [STYLE]}, {"mask": ["owners/bob/m.png"]})
        )
    ]
    given = job().model_copy(
        update={
            "inputs": InlineManifestInput(items=lines),
            "steps": [Step(operation="stylize", params={"styles": ["wave"]})],
        }
    )
    found = list(items_of(given, as_one(Registry().get, given.steps), store, max_bytes=100))
    assert [(item.error or {}).get("code") for item in found] == [None, "forbidden", None, "forbidden"]


def test_inputs_may_be_files_of_own_uploads(store: CountingStore) -> None:
    """A line's input is the owner's file, also where the API key reaches elsewhere only."""
    line = ManifestLine(custom_id="1", input=f"{UPLOAD}/0/3")
    given = job().model_copy(
        update={
            "inputs": InlineManifestInput(items=[line]),
            "steps": [Step(operation="stylize", params={"styles": ["wave"]})],
            "read_prefixes": ["elsewhere/"],
        }
    )
    (item,) = items_of(given, as_one(Registry().get, given.steps), store, max_bytes=100)
    assert item.input == UploadKeys("ann", UPLOAD).file(0, 3)


# -- what workers tell each other ----------------------------------------------------------------------
def test_a_memo_lies_where_no_user_writes(store: CountingStore) -> None:
    """Under a prefix of Triptych's own, by kind, model and digest."""
    memo = StoreMemo(store)
    assert memo.get("styles", "m" * 64, "s" * 64) is None
    memo.put("styles", "m" * 64, "s" * 64, b"vector")
    assert memo.get("styles", "m" * 64, "s" * 64) == b"vector"
    assert memo.get("styles", "n" * 64, "s" * 64) is None
    assert memo_key("styles", "m" * 64, "s" * 64).startswith("artifacts/")


def test_an_absent_store_costs_no_item() -> None:
    """Nothing is known, and nothing is told."""

    class Away(MemoryObjectStore):
        def get(self, key: str, *, max_bytes: int | None = None) -> bytes:
            raise StorageUnavailable("away")

        def put(self, key: str, data: bytes, **fields: Any) -> None:
            raise StorageUnavailable("away")

    memo = StoreMemo(Away())
    assert memo.get("styles", "m", "s") is None
    memo.put("styles", "m", "s", b"vector")
