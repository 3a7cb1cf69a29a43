"""Reads a job's results in input order: one reading for the API (pages) and the finaliser (all of it).

    winners {"17": "tokA.3-0-0.4", "17.4": "tokB.0-1-0"}   what the ledger, or summary.json, says
        └ results/00000017.tokA.3-0-0.4.jsonl + results/00000017i4.tokB.0-1-0.jsonl = group 17, by index

A group is a shard with the suspects that its winner left out. It is finished when all of them have winners.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pipeline.core.errors import InvalidCursor
from pipeline.core.jobs import Item, Plan, ResultLine
from pipeline.core.keys import JobKeys, ResultName
from pipeline.core.storage import ObjectStore

_CURSOR = re.compile(r"^(\d{1,9}):(\d{1,9})$", re.ASCII)
_FIRST_INDEX = re.compile(rb'^\{"index":\s*(\d+)')  # `Item` is written with its index first


@dataclass(frozen=True, order=True)
class Cursor:
    """A place in a job's results: line `line` of group `shard`, both from 0."""

    shard: int = 0
    line: int = 0

    def __str__(self) -> str:
        return f"{self.shard}:{self.line}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Raises InvalidCursor unless it reads "shard:line"."""
        match = _CURSOR.fullmatch(text)
        if match is None:
            raise InvalidCursor(f"not a cursor of this API: {text[:40]!r}")
        return cls(int(match[1]), int(match[2]))


@dataclass(frozen=True)
class JobResults:
    """The results of one job, as far as they are there.

    Attributes:
        winners: For each finished entry, the text of the `ResultName` that counts.
        shards: How many shards were planned.
        ended: Whether no result will come any more. Items without one then get a `cancelled` line.
        error: Stands in those lines, when the job did not end because it was cancelled.
    """

    store: ObjectStore
    job_id: str
    winners: Mapping[str, str]
    shards: int
    ended: bool = False
    error: dict[str, str] | None = None

    @cached_property
    def _keys(self) -> JobKeys:
        return JobKeys(self.job_id)

    @cached_property
    def _plan_token(self) -> str:
        return Plan.model_validate_json(self.store.get(self._keys.plan)).token

    def entries(self, shard: int) -> dict[str, str | None]:
        """The group's ledger entries, each with the text of its winner; None while it has none."""
        text = self.winners.get(str(shard))
        held = ResultName.parse(text).held if text is not None else ()
        suspects = [f"{shard}.{index}" for index in held]
        return {str(shard): text, **{entry: self.winners.get(entry) for entry in suspects}}

    def finished(self, shard: int) -> bool:
        """Whether every item of the shard has its result."""
        return all(text is not None for text in self.entries(shard).values())

    @property
    def complete(self) -> bool:
        """Whether no line is missing that will ever be there."""
        return self.ended or (self.shards > 0 and all(map(self.finished, range(self.shards))))

    def lines(self, shard: int) -> list[tuple[dict[str, Any], bytes]]:
        """A group's lines by index, parsed and as they were written; empty while it is not finished."""
        if not self.ended and not self.finished(shard):
            return []
        entries = self.entries(shard)
        raw: list[bytes] = []
        for entry, text in entries.items():
            if text is not None:
                raw += self.store.get(self._keys.shard_results(entry, text)).splitlines()
        parsed = [(json.loads(line), line) for line in raw if line]
        if None in entries.values():
            parsed += self._never_run(shard, {line["index"] for line, _ in parsed})
        return sorted(parsed, key=lambda pair: int(pair[0]["index"]))

    def _never_run(self, shard: int, there: set[int]) -> Iterator[tuple[dict[str, Any], bytes]]:
        manifest = self.store.get(self._keys.manifest(self._plan_token, shard))
        for item in map(Item.model_validate_json, manifest.splitlines()):
            if item.index not in there:
                line = ResultLine(
                    index=item.index,
                    custom_id=item.custom_id,
                    status="cancelled",
                    input=item.input,
                    error=self.error,
                )
                yield line.model_dump(exclude_none=True), line.model_dump_json(exclude_none=True).encode()

    def read(
        self, start: Cursor | None = None, *, failed_only: bool = False
    ) -> Iterator[tuple[Cursor, bytes]]:
        """Lines in input order, each with the cursor that leads to it. Unfinished groups are passed over.

        Args:
            start: Where to begin; the first line when None.
            failed_only: Lines with status `failed` alone; groups without one are not fetched.

        Yields:
            The line's own cursor, and the line without its newline.

        Raises:
            InvalidCursor: `start` lies past the job's last shard.
        """
        start = start or Cursor()
        if start.shard > self.shards:
            raise InvalidCursor(f"the job has {self.shards} shards; no {start}")
        for shard in range(start.shard, self.shards):
            if failed_only and not self._failures(shard):
                continue
            for number, (line, raw) in enumerate(self.lines(shard)):
                cursor = Cursor(shard, number)
                if cursor >= start and (not failed_only or line["status"] == "failed"):
                    yield cursor, raw

    def _failures(self, shard: int) -> int:
        texts = self.entries(shard).values()
        return sum(ResultName.parse(text).failed for text in texts if text is not None)

    def item(self, index: int) -> dict[str, Any] | None:
        """The result line of one item; None while it has none. Reads O(log shards) manifests' heads."""
        shard = self._shard_of(index)
        if shard is None:
            return None
        return next((line for line, _ in self.lines(shard) if line["index"] == index), None)

    def _shard_of(self, index: int) -> int | None:
        low, high = 0, self.shards  # the shard is in [low, high)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._first_index(middle) <= index else (low, middle)
        return low if self.shards else None

    @cached_property
    def _firsts(self) -> dict[int, int]:
        return {}

    def _first_index(self, shard: int) -> int:
        if shard not in self._firsts:
            self._firsts[shard] = self._read_first_index(shard)
        return self._firsts[shard]

    def _read_first_index(self, shard: int) -> int:
        key = self._keys.manifest(self._plan_token, shard)
        match = _FIRST_INDEX.match(self.store.get_range(key, 0, 64))
        if match is None:
            raise ValueError(f"{key} does not begin with an item")
        return int(match[1])
