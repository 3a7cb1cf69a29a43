"""The HTTP contract in memory, for tests of the client and the command line: no network, no servers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

API = "http://api.test"
STORE = "http://store.test"
KEY = "trp_" + "k" * 43
CREATED = "2026-01-02T03:04:05.000Z"

Answer = Callable[[httpx.Request], httpx.Response | None]


@dataclass
class FakeApi:
    """Behaves as the API and the object store do.

    Attributes:
        objects: What was put to the store, by URL path.
        requests: Everything that was asked, "METHOD path", in order.
        faults: Each is asked first, and may answer in place of the server.
        failing: For each declared name, the error code of its item.
        presigned: Whether upload URLs lead to the store, or to the API.
        page_lines: Result lines a page.
        events: Whether the event stream works.
    """

    objects: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    seen: list[httpx.Request] = field(default_factory=list)
    faults: list[Answer] = field(default_factory=list)
    failing: dict[str, str] = field(default_factory=dict)
    presigned: bool = True
    page_lines: int = 2
    events: bool = True
    state: str = "completed"
    pages: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    bodies: dict[str, dict[str, Any]] = field(default_factory=dict)
    polls: int = 0

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self.handle)

    async def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(f"{request.method} {request.url.path}")
        self.seen.append(request)
        for fault in self.faults:
            answer = fault(request)
            if answer is not None:
                return answer
        await request.aread()
        if request.url.host == "store.test":
            return self._store(request)
        parts = request.url.path.strip("/").split("/")
        route: Callable[[httpx.Request, list[str]], httpx.Response] = {
            "uploads": self._uploads,
            "jobs": self._jobs,
            "operations": self._operations,
        }[parts[1]]
        return route(request, parts[2:])

    # -- the store ------------------------------------------------------------------------------------
    def _store(self, request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            self.objects[request.url.path] = request.content
            return httpx.Response(200)
        data = self.objects.get(request.url.path)
        return httpx.Response(404) if data is None else httpx.Response(200, content=data)

    # -- uploads --------------------------------------------------------------------------------------
    def _uploads(self, request: httpx.Request, parts: list[str]) -> httpx.Response:
        if request.method == "PUT":
            self.objects[f"/{'/'.join(parts[-2:])}"] = request.content
            return httpx.Response(204)
        page = int(parts[2]) if parts else 0
        if request.method == "POST":
            self.pages[page] = json.loads(request.content)["files"]
        return httpx.Response(
            201, json={"upload_id": "upl_" + "0" * 32, "page": page, "files": self._files(page)}
        )

    def _files(self, page: int) -> list[dict[str, Any]]:
        files = []
        for place, file in enumerate(self.pages[page]):
            path = f"/{page}/{place}"
            stored = len(self.objects.get(path, b"")) == file["size_bytes"] and path in self.objects
            own = f"/v1/uploads/upl_{'0' * 32}/files{path}"
            files.append(
                {**file, "place": place, "url": f"{STORE}{path}" if self.presigned else own, "stored": stored}
            )
        return files

    # -- jobs -----------------------------------------------------------------------------------------
    def _jobs(self, request: httpx.Request, parts: list[str]) -> httpx.Response:
        if not parts and request.method == "POST":
            return self._create(request)
        if not parts:
            return httpx.Response(200, json={"jobs": list(self.jobs.values())[::-1], "next_cursor": None})
        job = self.jobs.get(parts[0])
        if job is None:
            return problem(404, "job_not_found", f"no job {parts[0]}")
        what = parts[1] if len(parts) > 1 else request.method.lower()
        routes: dict[str, Callable[[], httpx.Response]] = {
            "get": lambda: self._poll(job),
            "cancel": lambda: self._cancel(job),
            "events": lambda: self._events(job),
            "results": lambda: self._results(request),
            "items": lambda: httpx.Response(302, headers={"Location": f"{STORE}/out/{parts[2]}"}),
            "report": lambda: httpx.Response(200, text="<html>report</html>"),
            "search": lambda: self._search(request),
        }
        return routes[what]()

    def _create(self, request: httpx.Request) -> httpx.Response:
        key = request.headers["Idempotency-Key"]
        job_id = f"job_{abs(hash(key)):032x}"
        self.bodies[job_id] = json.loads(request.content)
        total = sum(len(page) for page in self.pages.values())
        failed = sum(file["name"] in self.failing for page in self.pages.values() for file in page)
        self.jobs[job_id] = {
            "id": job_id,
            "state": "running",
            "created_at": CREATED,
            "steps": self.bodies[job_id]["steps"],
            "counts": {"total": total, "succeeded": total - failed, "failed": failed, "cancelled": 0},
        }
        for index in range(total):
            self.objects[f"/out/{index}"] = f"output {index}".encode()
        return httpx.Response(202, json=self.jobs[job_id])

    def _poll(self, job: dict[str, Any]) -> httpx.Response:
        self.polls += 1
        if self.polls >= 2 and job["state"] == "running":
            job["state"] = self.state
        return httpx.Response(200, json=job)

    def _cancel(self, job: dict[str, Any]) -> httpx.Response:
        job["state"] = "cancelled"
        return httpx.Response(202, json=job)

    def _events(self, job: dict[str, Any]) -> httpx.Response:
        if not self.events:
            return problem(406, "not_acceptable", "no streams here")
        running = json.dumps(job)
        job["state"] = self.state
        text = f": hello\n\nevent: progress\ndata: {running}\n\nevent: end\ndata: {json.dumps(job)}\n\n"
        return httpx.Response(200, text=text, headers={"Content-Type": "text/event-stream"})

    def _results(self, request: httpx.Request) -> httpx.Response:
        names = [file["name"] for page in sorted(self.pages) for file in self.pages[page]]
        start = int(request.url.params.get("cursor", "0"))
        stop = start + self.page_lines
        lines = [json.dumps(self._line(index, name)) for index, name in enumerate(names)][start:stop]
        headers = {"Triptych-Next-Cursor": str(stop)} if stop < len(names) else {}
        return httpx.Response(200, text="".join(f"{line}\n" for line in lines), headers=headers)

    def _line(self, index: int, name: str) -> dict[str, Any]:
        line: dict[str, Any] = {"index": index, "custom_id": name, "input": f"k/{index}"}
        code = self.failing.get(name)
        if code:
            return {**line, "status": "failed", "error": {"code": code, "message": "broken"}}
        receipt = {"bytes_in": 10, "bytes_out": len(f"output {index}")}
        return {
            **line,
            "status": "succeeded",
            "output": f"jobs/j/outputs/{index:08d}.tri",
            "receipt": receipt,
        }

    def _search(self, request: httpx.Request) -> httpx.Response:
        wanted = json.loads(request.content)
        hits = [
            {
                "index": index,
                "custom_id": f"{index}.jpg",
                "score": 0.5 - index / 10,
                "text": f"{wanted['text']}.",
            }
            for index in range(min(wanted["limit"], 3))
        ]
        return httpx.Response(200, json={"hits": hits, "rows": 3, "model": "m"})

    # -- operations -----------------------------------------------------------------------------------
    def _operations(self, request: httpx.Request, parts: list[str]) -> httpx.Response:
        schema = {
            "properties": {
                "quality": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": 100,
                    "default": 50,
                    "description": "how good",
                },
                "output": {"type": "string"},
            }
        }
        terms = {
            "licence": "research",
            "data_sets": ["photos"],
            "attributions": ["Ann"],
            "note": "Ask first.",
        }
        one = {
            "name": "squeeze",
            "summary": "Make it small.",
            "params_schema": schema,
            "result_schema": {},
            "terms": {"net": terms},
        }
        return httpx.Response(200, json=one if parts else {"operations": [one]})


def problem(status: int, code: str, detail: str) -> httpx.Response:
    """A problem document as the API writes it."""
    body = {"type": f"about:blank#{code}", "title": code, "status": status, "detail": detail, "code": code}
    return httpx.Response(status, json=body, headers={"Content-Type": "application/problem+json"})
