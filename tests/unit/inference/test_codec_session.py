"""ONNX Runtime's silences made loud."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from pipeline.core.errors import (
    ArtifactCorrupt,
    DeviceFailed,
    DeviceOutOfMemory,
    InternalError,
    ProviderUnavailable,
)
from pipeline.inference.session import OrtSession
from tests.support.codec import artifact

ANALYSIS = artifact().path("analysis")


class FakeInferenceSession:
    """Stands in for ONNX Runtime's: says it runs on the CPU, and fails as told."""

    error: Exception | None = None

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def get_providers(self) -> list[str]:
        return ["CPUExecutionProvider"]

    def run(self, *_: Any) -> list[Any]:
        assert self.error is not None
        raise self.error

    def io_binding(self) -> Any:
        assert self.error is not None
        raise self.error


def test_a_graph_runs_on_the_cpu() -> None:
    """The real graph loads with the provider that was asked for and takes views that are not contiguous."""
    session = OrtSession(ANALYSIS)
    assert session.provider == "CPUExecutionProvider"
    planes = np.zeros((4, 192, 1, 6), np.uint8).transpose(2, 1, 0, 3)
    (y,) = session.run({"planes": planes})
    assert y.shape == (1, 80, 4, 6)
    assert y.dtype == np.float32


def test_bound_to_the_device() -> None:
    """Inputs from either memory, outputs in either: the numbers of a plain run; they outlive the session."""
    session = OrtSession(ANALYSIS)
    planes = np.random.default_rng(0).integers(0, 256, (6, 192, 4, 1), dtype=np.uint8).transpose(3, 1, 2, 0)
    (expected,) = session.run({"planes": planes})
    (fetched,) = session.run_bound({"planes": planes}, fetched=1)
    (stays,) = session.run_bound({"planes": session.to_device(planes)}, fetched=0)
    np.testing.assert_array_equal(fetched, expected)
    assert not isinstance(stays, np.ndarray)
    found = session.from_device(stays)
    del session, stays
    np.testing.assert_array_equal(found, expected)


@pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="this onnxruntime has CUDA"
)
def test_cuda_without_cuda_is_refused() -> None:
    """The CPU package never stands in for CUDA."""
    with pytest.raises(ProviderUnavailable):
        OrtSession(ANALYSIS, "cuda")


def test_silent_fallback_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The GPU package without a driver makes a CPU session and says nothing; we do."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", FakeInferenceSession)
    with pytest.raises(ProviderUnavailable, match="could not be started"):
        OrtSession(ANALYSIS, "cuda")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ort_errors.RuntimeException("Failed to allocate memory for requested buffer"), DeviceOutOfMemory),
        (ort_errors.Fail("CUDA failure 2: out of memory"), DeviceOutOfMemory),
        (MemoryError(), DeviceOutOfMemory),
        (ort_errors.Fail("something else"), InternalError),
        (ort_errors.Fail("CUDA failure 700: an illegal memory access was encountered"), DeviceFailed),
        (RuntimeError("Error when binding input: CUDA failure 2: out of memory"), DeviceOutOfMemory),
        (RuntimeError("Error when binding input: something else"), InternalError),
    ],
)
def test_memory_errors_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, error: Exception, expected: type[Exception]
) -> None:
    """Memory that ran out is worth another try; other failures are ours."""
    monkeypatch.setattr(onnxruntime, "InferenceSession", FakeInferenceSession)
    monkeypatch.setattr(FakeInferenceSession, "error", error)
    feeds = {"planes": np.zeros((1, 192, 2, 2), np.uint8)}
    with pytest.raises(expected):
        OrtSession(ANALYSIS).run(feeds)
    with pytest.raises(expected):
        OrtSession(ANALYSIS).run_bound(feeds, fetched=1)


def test_a_damaged_graph_is_refused(tmp_path: Path) -> None:
    """Half a file is an artifact's fault, not a crash."""
    path = tmp_path / "half.onnx"
    path.write_bytes(ANALYSIS.read_bytes()[:5000])
    with pytest.raises(ArtifactCorrupt):
        OrtSession(path)


def test_wrong_inputs_are_a_fault() -> None:
    """A shape that the graph does not take is an error of ours with a message."""
    wrong = {"planes": np.zeros((1, 64, 2, 2), np.uint8)}
    with pytest.raises(InternalError):
        OrtSession(ANALYSIS).run(wrong)
    with pytest.raises(InternalError):
        OrtSession(ANALYSIS).run_bound(wrong, fetched=1)
