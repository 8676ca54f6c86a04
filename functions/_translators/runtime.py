"""ONNX Runtime (https://onnxruntime.ai) as the equivalence engine calls it: on a provider, optimizations off or on."""

from collections.abc import Sequence
from pathlib import Path

import numpy

from functions._domain.errors import RejectedContent
from functions._translators.inputs import Array

OPTIMIZATIONS = ("off", "on")
CPU = "CPUExecutionProvider"
GPUS = {"nvidia": "CUDAExecutionProvider", "amd": "ROCMExecutionProvider"}
"""What ONNX Runtime calls the accelerators (https://onnxruntime.ai/docs/execution-providers/)."""


def present(model: Path, accelerator: str) -> str:
    """The execution provider of an accelerator, which must be there: ONNX Runtime falls back to the CPU silently.

    Raises:
        RejectedContent: it is not; the message says what to do.
    """
    import onnxruntime

    provider, found = GPUS.get(accelerator, accelerator), onnxruntime.get_available_providers()
    if provider not in found or provider not in Session(model, "off", provider).providers:
        raise RejectedContent(
            f"this translation is to be measured on an accelerator ({accelerator}), and ONNX Runtime finds none here; "
            "ask for it with --accelerator none, or have the operator look at the node"
        )
    return provider


class Session:
    """ONNX Runtime with a model, optimizations off or on, on a provider; called like the source."""

    def __init__(self, model: Path, optimizations: str, provider: str = CPU) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        levels = onnxruntime.GraphOptimizationLevel
        options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimizations == "on" else levels.ORT_DISABLE_ALL
        options.log_severity_level = 3
        wished = list(dict.fromkeys((provider, CPU)))
        self._session = onnxruntime.InferenceSession(str(model), options, providers=wished)
        self.providers = self._session.get_providers()
        self.inputs = [known.name for known in self._session.get_inputs()]
        self.outputs = [known.name for known in self._session.get_outputs()]

    def __call__(self, arrays: Sequence[Array]) -> list[Array]:
        """The outputs for some inputs."""
        fed = dict(zip(self.inputs, arrays, strict=True))
        return [numpy.asarray(array) for array in self._session.run(None, fed)]
