"""ONNX Runtime behind a Protocol, with its two silences made loud: wrong provider, memory run out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from pipeline.core.errors import (
    ArtifactCorrupt,
    ArtifactNotFound,
    DeviceFailed,
    DeviceOutOfMemory,
    InternalError,
    ProviderUnavailable,
)
from pipeline.core.operation import Device

Feeds = Mapping[str, NDArray[Any]]
# An array, or what lies in a device's own memory.
Value: TypeAlias = NDArray[Any] | onnxruntime.OrtValue

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
# What ONNX Runtime and CUDA say when memory is gone; there is no error class for it.
_OUT_OF_MEMORY = ("failed to allocate memory", "out of memory", "bad_alloc", "cudaerrormemoryallocation")
# CUDA's sticky errors: every later call of the process fails, whatever it is about.
_DEVICE_FAILED = ("cuda failure", "cuda error", "cudnn failure", "cublas failure", "illegal memory access")
_ORT_ERRORS = (ort_errors.Fail, ort_errors.RuntimeException, ort_errors.InvalidArgument, ort_errors.EPFail)
# Binding and copying say everything by Python's own RuntimeError.
_RUN_ERRORS = (*_ORT_ERRORS, MemoryError, RuntimeError)


class Session(Protocol):
    """A loaded graph. Threads may share it."""

    def run(self, feeds: Feeds) -> list[NDArray[Any]]:
        """Outputs in the graph's order. Every input and output has the batch as its first axis.

        Raises:
            DeviceOutOfMemory: Worth another try.
        """


class AbsentSession:
    """Stands for a graph that an older artifact no longer has: what it has made can be read, and no more.

    Args:
        what: The graph, for the message.
    """

    def __init__(self, what: str) -> None:
        self._what = what

    def run(self, feeds: Feeds) -> list[NDArray[Any]]:  # noqa: ARG002 - a Session
        raise ArtifactNotFound(f"{self._what} is not here: this older model is kept for reading only")


class OrtSession:
    """A graph in ONNX Runtime on one device.

    Args:
        path: The .onnx file.
        device: "cpu" (one thread; a process a core is how CPUs are filled) or "cuda".
        device_index: Which GPU.
        weights: Those that the graph names without holding them (several graphs share them), by name.

    Raises:
        ProviderUnavailable: CUDA was asked for and did not come; ONNX Runtime itself would go on on the CPU.
        ArtifactCorrupt: Not a graph that this ONNX Runtime can load.
    """

    def __init__(
        self, path: Path, device: Device = "cpu", device_index: int = 0, weights: Feeds | None = None
    ) -> None:
        provider = _PROVIDERS[device]
        if provider not in onnxruntime.get_available_providers():
            raise ProviderUnavailable(f"this onnxruntime has no {provider}; install the extra 'gpu'")
        if device == "cuda":
            onnxruntime.preload_dlls()  # CUDA and cuDNN from their wheels, where the system has none
        self._place = (device, device_index)
        options = _options()
        if weights:
            values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in weights.values()]
            options.add_external_initializers([*weights], values)
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=[_provider_with_options(provider, device_index)]
            )
        except (
            *_ORT_ERRORS,
            ort_errors.InvalidGraph,
            ort_errors.InvalidProtobuf,
            ort_errors.NoSuchFile,
        ) as error:
            raise ArtifactCorrupt(f"ONNX Runtime cannot load {path.name}: {error}") from error
        if self._session.get_providers()[0] != provider:
            raise ProviderUnavailable(f"{provider} could not be started (driver or CUDA libraries missing)")

    @property
    def provider(self) -> str:
        return str(self._session.get_providers()[0])

    @property
    def inputs(self) -> list[str]:
        """Names of the graph's inputs, in its order."""
        return [value.name for value in self._session.get_inputs()]

    def run(self, feeds: Feeds) -> list[NDArray[Any]]:
        with _translated():
            return list(
                self._session.run(None, {name: np.ascontiguousarray(array) for name, array in feeds.items()})
            )

    def run_bound(self, feeds: Mapping[str, Value], fetched: int) -> list[Value]:
        """`run` that leaves outputs where they were worked out.

        Args:
            feeds: Arrays are copied to the device; what is there already is read there.
            fetched: How many of the outputs, in the graph's order, come back as arrays; the others stay.

        Raises:
            DeviceOutOfMemory: Worth another try.
        """
        with _translated():
            binding = self._session.io_binding()
            for name, value in feeds.items():
                if isinstance(value, np.ndarray):
                    binding.bind_cpu_input(name, np.ascontiguousarray(value))
                else:
                    binding.bind_ortvalue_input(name, value)
            for i, output in enumerate(self._session.get_outputs()):
                if i < fetched:
                    binding.bind_output(output.name)
                else:
                    binding.bind_output(output.name, *self._place)
            binding.synchronize_inputs()
            self._session.run_with_iobinding(binding)
            binding.synchronize_outputs()
            outputs = binding.get_outputs()
            return [value.numpy() if i < fetched else value for i, value in enumerate(outputs)]

    def to_device(self, array: NDArray[Any]) -> onnxruntime.OrtValue:
        """In the device's memory, for `run_bound`; on a CPU the array itself.

        Raises:
            DeviceOutOfMemory: Worth another try.
        """
        with _translated():
            return onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array), *self._place)

    def from_device(self, value: onnxruntime.OrtValue) -> NDArray[Any]:
        """The array again; on a CPU in the same memory, so not to be written to."""
        with _translated():
            array: NDArray[Any] = value.numpy()
            return array


@contextmanager
def _translated() -> Iterator[None]:
    """ONNX Runtime's errors while something runs, as ours."""
    try:
        yield
    except _RUN_ERRORS as error:
        text = str(error).lower()
        if isinstance(error, MemoryError) or any(sign in text for sign in _OUT_OF_MEMORY):
            raise DeviceOutOfMemory("the device had no memory left for this item") from error
        if any(sign in text for sign in _DEVICE_FAILED):
            raise DeviceFailed(f"the GPU failed: {error}") from error
        raise InternalError(f"ONNX Runtime failed: {error}") from error


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # patterns are kept for each input shape; pictures have thousands
    options.log_severity_level = 3
    return options


def _provider_with_options(provider: str, device_index: int) -> str | tuple[str, dict[str, str]]:
    if provider == _PROVIDERS["cpu"]:
        return provider
    # TF32 is on by default and would round the latents.
    return provider, {"device_id": str(device_index), "use_tf32": "0"}
