"""The front door: a typed client for Triptych's API. Importing this costs httpx and pydantic.

```python
with Client("http://127.0.0.1:8000") as client:
    upload = client.upload(["a.jpg", "b.jpg"])
    job = client.create_job("compress", upload.inputs, params={"quality": 50})
    client.wait(job.id)
    client.fetch(job.id, "out")
```
"""

from pipeline.core.jobs import (
    Counts,
    InlineManifestInput,
    Inputs,
    JobState,
    KeysInput,
    ManifestInput,
    ManifestLine,
    PrefixInput,
    ResultLine,
    UploadInput,
)
from triptych.aio import AsyncClient
from triptych.client import Client
from triptych.fetching import Fetched
from triptych.local import LocalFile
from triptych.models import Job, JobError, JobPage, OperationInfo
from triptych.transport import ApiError, Unreachable
from triptych.uploads import Upload

__all__ = [
    "ApiError",
    "AsyncClient",
    "Client",
    "Counts",
    "Fetched",
    "InlineManifestInput",
    "Inputs",
    "Job",
    "JobError",
    "JobPage",
    "JobState",
    "KeysInput",
    "LocalFile",
    "ManifestInput",
    "ManifestLine",
    "OperationInfo",
    "PrefixInput",
    "ResultLine",
    "Unreachable",
    "Upload",
    "UploadInput",
]
