"""What `pipeline.core.storage` promises, held against both stores; boto3 reads along."""

from __future__ import annotations

import io
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO, cast
from urllib.parse import parse_qs, urlsplit

import boto3
import botocore.config
import httpx
import pytest

from pipeline.core.errors import (
    InputTooLarge,
    InvalidInput,
    ObjectExists,
    ObjectNotFound,
    StorageUnavailable,
)
from pipeline.core.memory import MemoryObjectStore
from pipeline.core.s3 import PART_BYTES, S3ObjectStore, make_store
from pipeline.core.settings import Settings
from pipeline.core.storage import ObjectStore
from tests.support.servers import RunningS3, settings_for

ODD_KEYS = (
    "k/plain.jpg",
    "k/with space and + and %20.jpg",
    "k/a&b=c?d#e;f,g.jpg",
    "k/Ünïcödé/日本語/🖼.jpg",
    "k/quote'\"<>.jpg",
    "k/" + "l" * 200 + ".jpg",
)


@pytest.fixture
def s3_store(settings: Settings) -> S3ObjectStore:
    return make_store(settings)


@pytest.fixture(params=["memory", "s3"])
def store(request: pytest.FixtureRequest) -> ObjectStore:
    if request.param == "memory":
        return MemoryObjectStore()
    return cast("ObjectStore", request.getfixturevalue("s3_store"))


@pytest.fixture
def boto(settings: Settings) -> Iterator[Any]:
    client = boto3.client(
        "s3",
        endpoint_url=settings.s3_url,
        aws_access_key_id=settings.s3_access_key,
        aws_secret_access_key=settings.s3_secret_key.get_secret_value(),
        region_name=settings.s3_region,
        config=botocore.config.Config(s3={"addressing_style": "path"}),
    )
    yield client
    client.close()


class Dripping(io.RawIOBase):
    """A stream of `size` bytes that gives little at a time, and may break."""

    def __init__(self, size: int, breaks_at: int | None = None) -> None:
        self._left = size
        self._given = 0
        self._breaks_at = breaks_at

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if self._breaks_at is not None and self._given >= self._breaks_at:
            raise ConnectionResetError("the sender is gone")
        taken = min(self._left, 70_000 if size < 0 else min(size, 70_000))
        self._left -= taken
        self._given += taken
        return bytes(taken)


def stream_of(size: int, breaks_at: int | None = None) -> BinaryIO:
    return cast("BinaryIO", Dripping(size, breaks_at))


# -- put, get, stat ---------------------------------------------------------------------------------
@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 5000], ids=["empty", "one", "1 MB"])
def test_what_was_put_is_got(store: ObjectStore, data: bytes) -> None:
    """Bytes, size, content type and metadata come back as they were put; names of metadata in lower case."""
    store.put("k/a", data, content_type="image/png", metadata={"Receipt": '{"bpp":1}', "token": "t"})
    assert store.get("k/a") == data
    info = store.stat("k/a")
    assert (info.key, info.size_bytes, info.content_type) == ("k/a", len(data), "image/png")
    assert info.metadata == {"receipt": '{"bpp":1}', "token": "t"}
    assert abs(info.last_modified - time.time()) < 60
    assert b"".join(store.stream("k/a", chunk_bytes=100_000)) == data


def test_a_put_replaces_all_of_an_object(store: ObjectStore) -> None:
    """The second put's bytes and metadata stand alone, under another etag."""
    store.put("k", b"one", metadata={"a": "1"})
    before = store.stat("k")
    store.put("k", b"two", metadata={"b": "2"})
    after = store.stat("k")
    assert store.get("k") == b"two"
    assert after.metadata == {"b": "2"}
    assert after.etag != before.etag


def test_what_is_not_there_is_not_found(store: ObjectStore) -> None:
    """Every reader says ObjectNotFound, the stream before its first chunk; deleting it is no error."""
    store.put("k/a", b"x")
    for read in (store.get, store.stat, store.stream, lambda key: store.get_range(key, 0, 1)):
        with pytest.raises(ObjectNotFound):
            cast("Callable[[str], object]", read)("k/b")
    with pytest.raises(ObjectNotFound):
        store.get_range("k/b", 0, 0)
    with pytest.raises(ObjectNotFound):
        store.copy("k/b", "k/c")
    store.delete(["k/b", "k/a"])
    assert list(store.list("k/")) == []


def test_a_large_object_is_not_fetched(store: ObjectStore) -> None:
    """`max_bytes` is inclusive; what is larger is refused."""
    store.put("k", bytes(1000))
    assert len(store.get("k", max_bytes=1000)) == 1000
    with pytest.raises(InputTooLarge):
        store.get("k", max_bytes=999)
    assert len(store.get("k")) == 1000  # and the connection still serves


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [(0, 3, b"012"), (7, 3, b"789"), (8, 100, b"89"), (10, 5, b""), (99, 1, b""), (3, 0, b"")],
)
def test_ranges(store: ObjectStore, offset: int, length: int, expected: bytes) -> None:
    """At most so many bytes from there; empty past the end."""
    store.put("k", b"0123456789")
    assert store.get_range("k", offset, length) == expected
    store.put("empty", b"")
    assert store.get_range("empty", 0, 5) == b""


@pytest.mark.parametrize("key", ODD_KEYS)
def test_keys_may_hold_anything(store: ObjectStore, key: str) -> None:
    """Spaces, signs, quotes, other alphabets: put, get, stat, list, copy, delete all mean the same key."""
    store.put(key, key.encode())
    assert store.get(key).decode() == key
    assert store.stat(key).key == key
    assert [info.key for info in store.list("k/")] == [key]
    store.copy(key, f"copy/{key}")
    assert store.get(f"copy/{key}").decode() == key
    store.delete([key])
    assert list(store.list("k/")) == []


def test_a_copy_keeps_type_and_metadata(store: ObjectStore) -> None:
    """The copy is another object with the same bytes, type and metadata."""
    store.put("a", b"x", content_type="image/webp", metadata={"m": "1"})
    store.copy("a", "b")
    store.delete(["a"])
    info = store.stat("b")
    assert (store.get("b"), info.content_type, info.metadata) == (b"x", "image/webp", {"m": "1"})


# -- conditional puts -------------------------------------------------------------------------------
def test_a_conditional_put_never_overwrites(store: ObjectStore) -> None:
    """`if_absent` puts where nothing stands, else raises and changes nothing: guards a private SDK call."""
    store.put("k", b"first", if_absent=True, metadata={"by": "1"})
    with pytest.raises(ObjectExists):
        store.put("k", b"second", if_absent=True, metadata={"by": "2"})
    assert store.get("k") == b"first"
    assert store.stat("k").metadata == {"by": "1"}
    store.delete(["k"])
    store.put("k", b"third", if_absent=True)
    assert store.get("k") == b"third"


def test_of_racing_conditional_puts_one_wins(store: ObjectStore) -> None:
    """Six at once, eight times over: one winner each, and its bytes stand."""

    def put(key: str, data: bytes) -> bytes | None:
        start.wait()
        try:
            store.put(key, data, if_absent=True)
        except ObjectExists:
            return None
        return data

    start = threading.Barrier(6)
    with ThreadPoolExecutor(6) as pool:
        for number in range(8):
            key = f"race/{number}"
            contents = [secrets.token_bytes(2000) for _ in range(6)]
            winners = [data for data in pool.map(put, [key] * 6, contents) if data is not None]
            assert len(winners) == 1
            assert store.get(key) == winners[0]


# -- streams ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("known", [True, False], ids=["length known", "length unknown"])
@pytest.mark.parametrize("size", [0, 1000, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES + 5])
def test_streams_of_any_length(store: ObjectStore, size: int, known: bool) -> None:
    """What the stream gives is the object, in one part or many, its length told before or not."""
    store.put_stream("k", stream_of(size), size if known else None, content_type="video/mp4")
    info = store.stat("k")
    assert (info.size_bytes, info.content_type) == (size, "video/mp4")
    assert store.get_range("k", max(0, size - 10), 10) == bytes(min(10, size))


@pytest.mark.parametrize("size", [PART_BYTES // 2, 3 * PART_BYTES])
@pytest.mark.parametrize("known", [True, False], ids=["length known", "length unknown"])
def test_a_broken_stream_leaves_nothing(store: ObjectStore, size: int, known: bool) -> None:
    """The stream's own error comes through, no object appears, and one that stood there stays."""
    store.put("old", b"old")
    for key in ("new", "old"):
        with pytest.raises(ConnectionResetError):
            store.put_stream(key, stream_of(size, breaks_at=size - 200_000), size if known else None)
    assert [info.key for info in store.list("")] == ["old"]
    assert store.get("old") == b"old"


def test_a_short_stream_is_refused(store: ObjectStore) -> None:
    """A stream that ends before its declared length is the sender's fault and leaves nothing."""
    for size in (1000, 2 * PART_BYTES):
        with pytest.raises(InvalidInput):
            store.put_stream("k", stream_of(size), size + 1)
    assert list(store.list("")) == []


def test_no_part_of_a_broken_put_remains(s3_store: S3ObjectStore, boto: Any) -> None:
    """Another client sees no multipart upload after one was broken off."""
    with pytest.raises(ConnectionResetError):
        s3_store.put_stream("k", stream_of(3 * PART_BYTES, breaks_at=2 * PART_BYTES), None)
    assert not boto.list_multipart_uploads(Bucket=s3_store.bucket).get("Uploads")


# -- listings ---------------------------------------------------------------------------------------
def test_listings_page_by_themselves(store: ObjectStore) -> None:
    """1,200 keys come in key order, all of them, and from any key on."""
    keys = [f"l/{number:05d}" for number in range(1200)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.put(key, b"x"), reversed(keys)))
    store.put("m/other", b"x")
    found = list(store.list("l/"))
    assert [info.key for info in found] == keys
    assert all((info.size_bytes, info.metadata) == (1, {}) for info in found)
    assert [info.key for info in store.list("l/", start_after="l/01095")] == keys[1096:]
    assert [info.key for info in store.list("l/000")] == keys[:100]
    store.delete(info.key for info in store.list("l/"))
    assert [info.key for info in store.list("")] == ["m/other"]


def test_listings_keep_to_one_order(store: ObjectStore) -> None:
    """By bytes, or folder by folder as if "/" came first; and going on after any key gives the rest."""
    keys = ["o/B", "o/a", "o/a/b", "o/a/b/c", "o/a/c", "o/a!", "o/a-b", "o/a.b", "o/a0", "o/z", "o/é"]
    for key in keys:
        store.put(key, key.encode())
    listed = [info.key for info in store.list("o/")]
    by_bytes = sorted(keys, key=str.encode)
    by_folder = sorted(keys, key=lambda key: key.replace("/", "\0").encode())
    assert listed in (by_bytes, by_folder)
    for place, key in enumerate(listed):
        if key in ("o/a", "o/a/b"):
            continue  # SeaweedFS would go on behind the folder of that name
        assert [info.key for info in store.list("o/", start_after=key)] == listed[place + 1 :]
        assert store.get(key).decode() == key
    assert {info.key for info in store.list("o/a")} == {key for key in keys if key.startswith("o/a")}


# -- another client ---------------------------------------------------------------------------------
def test_another_client_reads_the_same(s3_store: S3ObjectStore, boto: Any) -> None:
    """What boto3 gets, heads and lists is what was put: nothing of ours depends on our own SDK."""
    bucket = s3_store.bucket
    s3_store.put("k/Ü 1+1.png", b"data", content_type="image/png", metadata={"Receipt": "r"})
    s3_store.put_stream("k/big", stream_of(2 * PART_BYTES), None)
    got = boto.get_object(Bucket=bucket, Key="k/Ü 1+1.png")
    assert (got["Body"].read(), got["ContentType"], got["Metadata"]) == (
        b"data",
        "image/png",
        {"receipt": "r"},
    )
    assert boto.head_object(Bucket=bucket, Key="k/big")["ContentLength"] == 2 * PART_BYTES
    listed = [each["Key"] for each in boto.list_objects_v2(Bucket=bucket, Prefix="k/")["Contents"]]
    assert sorted(listed) == ["k/big", "k/Ü 1+1.png"]


def test_we_read_what_another_client_wrote(s3_store: S3ObjectStore, boto: Any) -> None:
    """A user's own tool may put inputs, whole or in parts; a conditional put of theirs holds against ours."""
    bucket = s3_store.bucket
    boto.put_object(
        Bucket=bucket, Key="in/ä b.jpg", Body=b"theirs", Metadata={"Who": "them"}, IfNoneMatch="*"
    )
    boto.upload_fileobj(io.BytesIO(bytes(20 * 2**20)), bucket, "in/big")
    assert s3_store.get("in/ä b.jpg") == b"theirs"
    assert s3_store.stat("in/ä b.jpg").metadata == {"who": "them"}
    assert s3_store.get_range("in/big", 20 * 2**20 - 3, 10) == bytes(3)
    with pytest.raises(ObjectExists):
        s3_store.put("in/ä b.jpg", b"ours", if_absent=True)


# -- presigned URLs ---------------------------------------------------------------------------------
def test_presigned_urls_get_and_put(s3_store: S3ObjectStore) -> None:
    """A client with nothing but the URL reads or writes one key, and saves it under the name asked for."""
    key = "p/ü 1.bin"
    with httpx.Client() as client:
        put = s3_store.presign_put(key, expires_s=60)
        assert put is not None
        assert client.put(put, content=b"from outside").status_code == 200
        assert s3_store.get(key) == b"from outside"
        get = s3_store.presign_get(key, expires_s=60, filename='bild "1" ä.bin')
        assert get is not None
        answer = client.get(get)
        assert answer.content == b"from outside"
        assert answer.headers["content-disposition"].startswith("attachment;")
        assert "filename*=UTF-8''bild%20%221%22%20%C3%A4.bin" in answer.headers["content-disposition"]
        assert client.put(get, content=b"no").status_code == 403
        assert client.get(put).status_code == 403
    assert s3_store.get(key) == b"from outside"


def test_tampered_urls_are_refused(s3_store: S3ObjectStore) -> None:
    """Another key, another life time, another signature or none: 403 each."""
    s3_store.put("p/mine", b"x")
    s3_store.put("p/secret", b"x")
    url = s3_store.presign_get("p/mine", expires_s=60)
    assert url is not None
    [signature] = parse_qs(urlsplit(url).query)["X-Amz-Signature"]
    flipped = ("0" if signature[0] != "0" else "1") + signature[1:]
    with httpx.Client() as client:
        assert client.get(url).status_code == 200
        for bad in (
            url.replace("p/mine", "p/secret"),
            url.replace("X-Amz-Expires=60", "X-Amz-Expires=6000"),
            url.replace(signature, flipped),
            url.partition("?")[0],
        ):
            assert client.get(bad).status_code == 403, bad


def test_expired_urls_are_refused(s3_store: S3ObjectStore) -> None:
    """A URL is good for its seconds and no longer."""
    s3_store.put("p", b"x")
    get, put = s3_store.presign_get("p", expires_s=1), s3_store.presign_put("p", expires_s=1)
    assert get is not None
    assert put is not None
    time.sleep(2.2)
    with httpx.Client() as client:
        assert client.get(get).status_code == 403
        assert client.put(put, content=b"late").status_code == 403
    assert s3_store.get("p") == b"x"


def test_no_urls_where_clients_cannot_reach_the_store(settings: Settings) -> None:
    """Without a public URL there is nothing to presign; with another host name the URL names that one."""
    private = make_store(settings.model_copy(update={"s3_public_url": None}))
    assert private.presign_get("k", expires_s=60) is None
    assert private.presign_put("k", expires_s=60) is None
    public = make_store(settings.model_copy(update={"s3_public_url": "https://files.example.org"}))
    url = public.presign_get("k", expires_s=60)
    assert url is not None
    assert url.startswith(f"https://files.example.org/{settings.s3_bucket}/k?")


# -- trouble ----------------------------------------------------------------------------------------
def test_buckets(settings: Settings) -> None:
    """`check` tells whether the bucket answers, `ensure_bucket` makes it, as often as it is asked."""
    name = f"{settings.s3_bucket}-2"
    store = make_store(settings.model_copy(update={"s3_bucket": name}))
    with pytest.raises(StorageUnavailable):
        store.check()
    store.ensure_bucket()
    store.ensure_bucket()
    store.check()
    store._client.remove_bucket(name)


def test_a_server_that_is_away_is_a_storage_error(own_s3: RunningS3) -> None:
    """Every call says StorageUnavailable within seconds, and works again when the server is back."""
    store = make_store(settings_for("redis://unused", own_s3.place, "bucket"))
    store.ensure_bucket()
    store.put("k", b"x")
    own_s3.kill()
    calls: list[Callable[[], object]] = [
        lambda: store.get("k"),
        lambda: store.put("k", b"y"),
        lambda: store.put_stream("k", io.BytesIO(b"y"), None),
        lambda: store.stat("k"),
        lambda: list(store.list("")),
        lambda: store.stream("k"),
        lambda: store.copy("k", "l"),
        lambda: store.delete(["k"]),
        store.check,
    ]
    started = time.monotonic()
    for call in calls:
        with pytest.raises(StorageUnavailable):
            call()
    assert time.monotonic() - started < 3 * len(calls)
    own_s3.start()
    assert store.get("k") == b"x"


def test_a_slow_line_is_no_broken_line(own_slow_server: tuple[str, list[int]]) -> None:
    """A body that takes longer to send than a connection may take to open arrives all the same."""
    url, received = own_slow_server
    place = Settings(
        _env_file=None,
        s3_url=url,
        s3_access_key="key",
        s3_secret_key="secret",
    )
    make_store(place).put("k", bytes(16 * 2**20))
    assert received == [16 * 2**20]


@pytest.fixture
def own_slow_server() -> Iterator[tuple[str, list[int]]]:
    """Takes one PUT at some 4 MB/s and answers 200."""
    listener = socket.create_server(("127.0.0.1", 0))
    received: list[int] = []

    def serve() -> None:
        peer, _ = listener.accept()
        with peer:
            head = b""
            while b"\r\n\r\n" not in head:
                head += peer.recv(1 << 12)
            size = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            got = len(head.partition(b"\r\n\r\n")[2])
            while got < size:
                piece = len(peer.recv(1 << 18))
                got += piece
                time.sleep(piece / 4e6)
            received.append(got)
            peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}", received
    listener.close()
    thread.join(5)
