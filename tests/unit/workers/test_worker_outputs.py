"""Outputs: put once, with the receipt beside them, and adopted by whoever comes again."""

from __future__ import annotations

import json
import random
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import Forbidden, InvalidInput, OutputExists
from pipeline.core.jobs import Item, JobSpec, PrefixInput, Step
from pipeline.core.memory import MemoryObjectStore
from pipeline.core.operation import ItemOutput, Operation, Result
from pipeline.operations import Registry
from pipeline.operations.compress import CompressReceipt
from tests.unit.workers.workbench import AnyParams, BytesIn, spec
from workers.outputs import IDENTITY, RECEIPT, Outputs, _pack, _unpack

COPY = Registry(["tests.support.operations"]).get("copy")
NOOP = Registry(["tests.support.operations"]).get("noop")


def outputs(store: MemoryObjectStore, operation: Operation = COPY, **fields: Any) -> Outputs:
    return Outputs(store, spec(operation.name, **fields), operation)


def item(index: int = 0, custom_id: str = "a.jpg") -> Item:
    return Item(index=index, custom_id=custom_id, input="owners/ann/a.jpg")


def output(data: bytes | None = b"out", **fields: Any) -> ItemOutput:
    return ItemOutput(BytesIn(bytes_in=0), data, **fields)


class Wordy(BytesIn):
    """A receipt with as much text as one likes."""

    caption: str


def put(found: Outputs, which: Item, what: ItemOutput) -> Any:
    return found.put(which, what, bytes_in=7, fetch_s=0.25)


def test_a_receipt_has_the_workers_facts() -> None:
    """Bytes in and out and the seconds of the fetch stand in every receipt, whatever the handler said."""
    store = MemoryObjectStore()
    line = put(outputs(store), item(), output())
    assert line.status == "succeeded"
    assert line.receipt == {"bytes_in": 7, "bytes_out": 3, "seconds": {"fetch": 0.25}}
    assert store.get(line.output) == b"out"


def test_the_first_output_stands_and_is_adopted() -> None:
    """A second put changes nothing, and its line is the first one's: bytes and receipt belong together."""
    store = MemoryObjectStore()
    first = put(outputs(store), item(), output(b"first"))
    again = put(outputs(store), item(), output(b"second, longer"))
    assert again == first
    assert outputs(store).find(item()) == first
    assert store.get(first.output) == b"first"


def test_nothing_is_found_where_nothing_is() -> None:
    """`find` says None for an item without output, and for operations that make none."""
    store = MemoryObjectStore()
    assert outputs(store).find(item()) is None
    line = put(outputs(store, NOOP), item(), output(None))
    assert line.output is None
    assert list(store.list("")) == []
    assert outputs(store, NOOP).find(item()) is None


def test_keys_are_a_function_of_job_item_step_and_artifact() -> None:
    """Any of the four makes another key; nothing else does."""
    store = MemoryObjectStore()
    pinned = Operation("x", "", AnyParams, Result, "", artifacts=("net",), output_extension=".x")

    def key(which: Item, steps: int = 1, **fields: Any) -> str:
        job = spec(**{"artifacts": {"net": "1"}, "steps": [Step(operation="copy")] * steps, **fields})
        return Outputs(store, job, pinned).key(which)

    base = key(item())
    assert key(item(custom_id="b.jpg")) == base
    others = {
        key(item(1)),
        key(item(), 2),
        key(item(), artifacts={"net": "2"}),
        key(item(), id="job_" + "1" * 32),
    }
    assert len(others | {base}) == 5


def under(prefix: str = "owners/ann/out/", **fields: Any) -> dict[str, Any]:
    return {"output_prefix": prefix, **fields}


def test_a_strange_object_in_the_way_is_never_overwritten() -> None:
    """Somebody's file, another job's output, another item of the same name: OutputExists, bytes untouched."""
    store = MemoryObjectStore()
    store.put("owners/ann/out/a.jpg.bin", b"precious")
    with pytest.raises(OutputExists):
        put(outputs(store, **under()), item(), output())
    assert store.get("owners/ann/out/a.jpg.bin") == b"precious"

    put(outputs(store, **under()), item(0, "one/b.jpg"), output(b"one"))
    with pytest.raises(OutputExists):
        put(outputs(store, **under()), item(1, "two/b.jpg"), output(b"two"))
    with pytest.raises(OutputExists):
        put(outputs(store, id="job_" + "2" * 32, **under()), item(0, "one/b.jpg"), output(b"three"))
    assert store.get("owners/ann/out/b.jpg.bin") == b"one"


def test_folders_under_a_prefix_stay_apart() -> None:
    """Of a job over a prefix, a name is the path below it: cameras count from 1 in every folder."""
    prefix = PrefixInput(prefix="owners/ann/in/")
    made = outputs(MemoryObjectStore(), inputs=prefix, **under())
    keys = [made.key(item(custom_id=f"owners/ann/in/{name}")) for name in ("2019/a.jpg", "2020/a.jpg", "b")]
    assert keys == [f"owners/ann/out/{name}.bin" for name in ("2019/a.jpg", "2020/a.jpg", "b")]
    with pytest.raises(InvalidInput):
        made.key(item(custom_id="owners/ann/in/../../bob/a.jpg"))


@pytest.mark.parametrize(
    "custom_id", ["..", "../..", "/etc/passwd", "a/../../b", "x/", "\u202eevil", "a" * 500]
)
def test_no_custom_id_leads_out_of_the_prefix(custom_id: str) -> None:
    """Of a user's name only its last part goes into a key, and the key is checked as a whole."""
    store = MemoryObjectStore()
    key = outputs(store, **under()).key(item(custom_id=custom_id))
    assert key.startswith("owners/ann/out/")
    assert "/" not in key.removeprefix("owners/ann/out/")


def test_names_that_no_key_can_hold_are_refused() -> None:
    """Control characters, or a key over 1024 bytes: the item's error."""
    for custom_id in ("a\nb", "a\x00b", "ü" * 600):
        with pytest.raises(InvalidInput):
            outputs(MemoryObjectStore(), **under()).key(item(custom_id=custom_id))


def test_write_prefixes_hold_for_every_name() -> None:
    """An output prefix that the owner's key no longer reaches stops each item."""
    with pytest.raises(Forbidden):
        outputs(MemoryObjectStore(), **under("owners/bob/out/")).key(item())


def test_previews_lie_beside_the_job() -> None:
    """One object a role, whatever becomes of the output."""
    store = MemoryObjectStore()
    put(outputs(store), item(3), output(previews={"before": b"B", "after": b"A"}))
    found = [key.key for key in store.list("") if "/previews/" in key.key]
    assert [key.rpartition("/")[2] for key in found] == ["00000003.after", "00000003.before"]


def test_metadata_stays_within_what_s3_allows() -> None:
    """Names and values together: 2 KB of ASCII, for a receipt with forty timings."""
    receipt = CompressReceipt(
        width_px=10**6,
        height_px=10**6,
        bytes_in=10**12,
        bytes_out=10**12,
        bpp=1 / 3,
        ratio=1 / 3,
        psnr_db=1 / 3,
        quality=100,
        model="f" * 64,
        seconds={f"a_rather_long_stage_{number}": number / 3 for number in range(40)},
    )
    store = MemoryObjectStore()
    compress = Registry().get("compress")
    job: JobSpec = spec("compress", artifacts={"compression": "f" * 64})
    line = Outputs(store, job, compress).put(
        item(99_999_999), ItemOutput(receipt, b"out"), bytes_in=10**12, fetch_s=1 / 3
    )
    metadata = store.stat(line.output or "").metadata
    assert set(metadata) == {IDENTITY, RECEIPT}
    assert sum(len(name) + len(value) for name, value in metadata.items()) <= 2048
    assert all(value.isascii() and value.isprintable() for value in metadata.values())
    assert Outputs(store, job, compress).find(item(99_999_999)) == line


def test_a_receipt_too_long_for_metadata_is_told_by_the_run_that_has_it() -> None:
    """Random text of 4 KB does not pack: the output stands without it, and the next run gives its own."""
    store = MemoryObjectStore()
    text = "".join(random.choices(string.ascii_letters, k=4_000))
    wordy = ItemOutput(Wordy(bytes_in=0, caption=text), b"out")
    line = put(outputs(store), item(), wordy)
    assert set(store.stat(line.output).metadata) == {IDENTITY}
    assert outputs(store).find(item()) is None
    assert put(outputs(store), item(), wordy) == line


@given(st.dictionaries(st.text(), st.integers() | st.floats(allow_nan=False) | st.text()))
def test_any_receipt_comes_back_as_it_was(receipt: dict[str, Any]) -> None:
    """Packed into printable ASCII, short or long, and back."""
    packed = _pack(receipt)
    assert packed.isascii()
    assert packed.isprintable()
    assert _unpack(packed) == json.loads(json.dumps(receipt))


def test_long_receipts_are_packed() -> None:
    """What is over 1 KB is compressed, and comes back."""
    words = ["".join(random.choices(string.ascii_lowercase, k=6)) for _ in range(50)]
    receipt = {"caption": " ".join(random.choices(words, k=300))}
    packed = _pack(receipt)
    assert len(packed) < len(json.dumps(receipt))
    assert _unpack(packed) == receipt
