"""Every form of input becomes items in input order; one that cannot run carries its error."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.core.chain import as_one
from pipeline.core.errors import InvalidManifest, StorageUnavailable
from pipeline.core.jobs import (
    InlineManifestInput,
    Item,
    JobSpec,
    KeysInput,
    ManifestInput,
    PrefixInput,
    Step,
    UploadInput,
)
from pipeline.core.keys import UploadKeys
from pipeline.core.memory import MemoryObjectStore
from pipeline.core.uploads import UploadFile, UploadPage
from pipeline.operations import Registry
from tests.unit.workers.workbench import manifest_line, manifest_lines, spec
from workers.inputs import MAX_LINE_BYTES, items_of

UPLOAD = "upl_" + "1" * 32


def items(job: JobSpec, store: MemoryObjectStore, max_bytes: int = 100) -> list[Item]:
    asked = as_one(Registry(["tests.support.operations"]).get, job.steps)
    found = list(items_of(job, asked, store, max_bytes=max_bytes))
    assert [item.index for item in found] == list(range(len(found)))
    assert all((item.input is None) == (item.error is not None) for item in found)
    return found


def codes(found: list[Item]) -> list[str | None]:
    return [item.error["code"] if item.error else None for item in found]


def upload(store: MemoryObjectStore, *pages: dict[str, tuple[int, int | None]]) -> JobSpec:
    """Files by name, a dict a page: the declared size, and the size that was put (None: never)."""
    keys = UploadKeys("ann", UPLOAD)
    for number, page in enumerate(pages):
        files = [UploadFile(name=name, size_bytes=declared) for name, (declared, _) in page.items()]
        store.put(keys.page(number), UploadPage(files=files).model_dump_json().encode())
        for place, (_, put) in enumerate(page.values()):
            if put is not None:
                store.put(keys.file(number, place), b"x" * put)
    return spec(inputs=UploadInput(upload_id=UPLOAD))


def test_uploads_come_by_page_then_place() -> None:
    """In the order in which files were declared, under their own names."""
    store = MemoryObjectStore()
    job = upload(store, {"z.jpg": (3, 3), "a.jpg": (4, 4)}, {"m.jpg": (5, 5)})
    found = items(job, store)
    assert [item.custom_id for item in found] == ["z.jpg", "a.jpg", "m.jpg"]
    assert [len(store.get(item.input)) for item in found if item.input] == [3, 4, 5]


def test_uploads_are_measured() -> None:
    """Never put, put with another size, too large: the item's error, the others are not held up."""
    store = MemoryObjectStore()
    job = upload(store, {"good": (3, 3), "never": (3, None), "short": (9, 3), "large": (101, 101)})
    assert codes(items(job, store)) == [None, "input_missing", "input_missing", "input_too_large"]


def test_keys_stay_in_their_order() -> None:
    """A list of keys is not sorted, and a key may be named twice."""
    keys = ["owners/ann/b", "owners/ann/a", "owners/ann/b"]
    found = items(spec(inputs=KeysInput(keys=keys)), MemoryObjectStore())
    assert [item.input for item in found] == keys


def test_a_prefix_is_listed_in_key_order_without_folder_marks() -> None:
    """Objects that end with a slash are marks of folders, made by consoles."""
    store = MemoryObjectStore()
    for key in ("owners/ann/in/b", "owners/ann/in/", "owners/ann/in/a/1", "owners/ann/other"):
        store.put(key, b"")
    found = items(spec(inputs=PrefixInput(prefix="owners/ann/in/")), store)
    assert [item.input for item in found] == ["owners/ann/in/a/1", "owners/ann/in/b"]


def inline(*lines: Any, operation: str = "copy", **fields: Any) -> JobSpec:
    return spec(operation, InlineManifestInput(items=list(lines)), **fields)


def listed(store: MemoryObjectStore, *lines: Any, operation: str = "copy", **fields: Any) -> JobSpec:
    store.put("owners/ann/manifest.jsonl", manifest_lines(*lines))
    return spec(operation, ManifestInput(key="owners/ann/manifest.jsonl"), **fields)


LINES = [
    ({"custom_id": "a", "input": "owners/ann/a"}, None),
    ({"custom_id": "b", "input": "owners/bob/secret"}, "forbidden"),
    ({"custom_id": "c", "input": "auth/0123.json"}, "forbidden"),
    ({"custom_id": "d", "input": "owners/ann/../bob/secret"}, "invalid_input"),
    ({"custom_id": "e", "input": "owners/ann/e", "params": {"seconds": -1}}, "invalid_params"),
    ({"custom_id": "f", "input": "owners/ann/f", "params": {"secnds": 1}}, "invalid_params"),
    ({"custom_id": "g", "input": "owners/ann/g", "params": {"seconds": 0.5}}, None),
]


@pytest.mark.parametrize("form", ["inline", "listed"])
def test_every_line_of_a_manifest_is_checked_for_reach_and_params(form: str) -> None:
    """Both forms of a manifest go through the same checks, line by line, whatever the API checked."""
    store = MemoryObjectStore()
    lines = [line for line, _ in LINES]
    job = inline(*lines, operation="sleep") if form == "inline" else listed(store, *lines, operation="sleep")
    found = items(job, store)
    assert codes(found) == [code for _, code in LINES]
    assert [item.custom_id for item in found] == list("abcdefg")
    assert found[-1].params == {"seconds": 0.5}


def test_an_items_params_are_checked_together_with_the_steps() -> None:
    """A line replaces params of the step name by name; the step's others count too."""
    job = inline(
        manifest_line("a", params={"times": 3}),
        manifest_line("b", params={"kind": "nonsense"}),
        operation="fail",
        steps=[Step(operation="fail", params={"kind": "transient"})],
    )
    assert codes(items(job, MemoryObjectStore())) == [None, "invalid_params"]


def test_what_is_no_line_of_a_manifest_fails_alone() -> None:
    """Broken JSON, another type, a missing name, an unknown one: each is one failed item, with its line."""
    store = MemoryObjectStore()
    bad = ["{", "[]", "7", '{"custom_id": "x"}', '{"custom_id": "", "input": "owners/ann/x"}', "\x00"]
    good = {"custom_id": "good", "input": "owners/ann/good"}
    found = items(listed(store, *bad, "   ", good), store)
    assert codes(found) == ["invalid_manifest"] * len(bad) + [None]
    assert [item.custom_id for item in found] == [f"line-{n}" for n in range(1, 7)] + ["good"]
    assert all("line 1" in item.error["message"] for item in found[:1] if item.error)


def test_lines_may_be_cut_anywhere() -> None:
    """Lines that lie across two chunks of the stream, a missing last newline, CRLF, a byte order mark."""
    store = MemoryObjectStore()
    names = [f"{number}-" + "ü" * 700 for number in range(4_000)]  # about 10 MB: many chunks
    text = "\r\n".join(f'{{"custom_id": "{name}", "input": "owners/ann/x"}}' for name in names)
    store.put("owners/ann/manifest.jsonl", b"\xef\xbb\xbf" + text.encode())
    found = items(spec(inputs=ManifestInput(key="owners/ann/manifest.jsonl")), store)
    assert codes(found) == [None] * len(names)
    assert [item.custom_id for item in found] == names


def test_a_manifest_that_is_none_fails_the_job() -> None:
    """No such object, or a body without line ends: there is no item to blame."""
    store = MemoryObjectStore()
    job = spec(inputs=ManifestInput(key="owners/ann/manifest.jsonl"))
    with pytest.raises(InvalidManifest, match="no manifest"):
        items(job, store)
    store.put("owners/ann/manifest.jsonl", b"\x00" * (3 * MAX_LINE_BYTES))
    with pytest.raises(InvalidManifest, match="JSONL"):
        items(job, store)


def test_a_store_that_stops_answering_is_not_an_end() -> None:
    """Half a listing must never pass for all of it."""

    class Breaks(MemoryObjectStore):
        def stream(self, key: str, *, chunk_bytes: int = 1 << 20) -> Any:
            yield manifest_lines({"custom_id": "a", "input": "owners/ann/a"})
            raise StorageUnavailable("gone")

        def list(self, prefix: str, *, start_after: str | None = None) -> Any:
            yield from super().list(prefix)
            raise StorageUnavailable("gone")

    store = Breaks()
    store.put("owners/ann/in/a", b"")
    for form in (ManifestInput(key="owners/ann/m"), PrefixInput(prefix="owners/ann/in/")):
        with pytest.raises(StorageUnavailable):
            items(spec(inputs=form), store)
