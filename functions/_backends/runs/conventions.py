"""What a training finds when it starts, in SageMaker's words, wherever it runs.

The layout is that of ``/opt/ml`` (https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo.html):
in a container that very folder, elsewhere a work folder of the run.

    input/data/<channel>/…  input/config/hyperparameters.json  model/  output/{metrics.json,failure}
    image/ (an image folder, where its script starts)  scratch/ (HOME and TMPDIR outside a container)
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from functions._domain.ports import Run


@dataclass(frozen=True)
class Layout:
    """The folders of one work folder."""

    work: Path

    @property
    def data(self) -> Path:
        """Channels."""
        return self.work / "input" / "data"

    @property
    def config(self) -> Path:
        """Hyper-parameters."""
        return self.work / "input" / "config"

    @property
    def image(self) -> Path:
        """The image folder, where the script starts."""
        return self.work / "image"

    @property
    def model(self) -> Path:
        """Where the script leaves its model."""
        return self.work / "model"

    @property
    def output(self) -> Path:
        """Where it leaves metrics, or why it failed."""
        return self.work / "output"

    @property
    def scratch(self) -> Path:
        """HOME and TMPDIR."""
        return self.work / "scratch"

    def make(self) -> None:
        """Make all folders."""
        for folder in (self.data, self.config, self.image, self.model, self.output, self.scratch):
            folder.mkdir(parents=True)


def seed(run: Run) -> int:
    """The seed that scripts are given: the hyper-parameter ``seed`` where it is a number, else 0."""
    wish = run.hyperparameters.get("seed", "0")
    return int(wish) if wish.isascii() and wish.isdecimal() else 0


def arguments(run: Run) -> list[str]:
    """Hyper-parameters as ``--name value``, sorted by name."""
    return [part for name in sorted(run.hyperparameters) for part in (f"--{name}", run.hyperparameters[name])]


def hyperparameters(run: Run) -> str:
    """The text of ``input/config/hyperparameters.json``."""
    return json.dumps(dict(run.hyperparameters), sort_keys=True)


def variables(run: Run, layout: Layout) -> dict[str, str]:
    """The environment that says where things are, and what makes runs repeatable; nothing of ours, no credentials."""
    channels = [channel.name for channel in run.channels]
    named = {f"CHANNEL_{channel}": str(layout.data / channel) for channel in channels}
    named |= {f"HP_{name}": value for name, value in run.hyperparameters.items()}
    return {
        **repeatable(run),
        "SM_CHANNELS": json.dumps(sorted(channels)),
        "SM_HPS": hyperparameters(run),
        "SM_INPUT_DIR": str(layout.data.parent),
        "SM_INPUT_CONFIG_DIR": str(layout.config),
        "SM_MODEL_DIR": str(layout.model),
        "SM_OUTPUT_DIR": str(layout.output),
        "SM_OUTPUT_DATA_DIR": str(layout.output),
        "SM_NUM_CPUS": str(run.cpu),
        "SM_NUM_GPUS": str(run.gpu),
        **_sagemaker_names(named),
    }


def _sagemaker_names(named: Mapping[str, str]) -> dict[str, str]:
    """SageMaker's own names, which keep '-' and '.', and beside them names that a shell can read."""
    exact = {f"SM_{name.upper()}": value for name, value in named.items()}
    readable = {name.replace("-", "_").replace(".", "_"): value for name, value in exact.items()}
    return readable | exact


_THREADS = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "TF_NUM_INTRAOP_THREADS",
)  # fmt: skip
_ON_A_GPU = {
    "TF_CUDNN_DETERMINISTIC": "1",  # cuDNN's deterministic algorithms, which raise nothing
    "XLA_FLAGS": "--xla_gpu_deterministic_ops=true",  # no atomic additions in scatters and reductions
}
"""Only there: these have a price, and what an image says in ``XLA_FLAGS`` itself would be lost for nothing."""


def repeatable(run: Run) -> dict[str, str]:
    """Seeds, threads and devices: what makes two runs of one script alike, as far as an environment can.

    Sums of floating-point numbers depend on their order. So libraries get as many threads as processors were asked
    for, however many the machine has, never fewer because it is busy, and add up what these found in a fixed order.
    A script still chooses deterministic algorithms itself: ``torch.use_deterministic_algorithms(True)``,
    ``tf.config.experimental.enable_op_determinism()``. The latter is not switched on for all by
    ``TF_DETERMINISTIC_OPS``, which makes every unseeded random operation an error (tried with TensorFlow 2.21).
    """
    return {
        "PYTHONHASHSEED": "0",  # the order of sets of strings
        "POLYGLOT_SEED": str(seed(run)),
        **dict.fromkeys(_THREADS, str(run.cpu)),
        "OMP_DYNAMIC": "FALSE",
        "MKL_DYNAMIC": "FALSE",
        "MKL_CBWR": "AUTO",  # the same result wherever in memory numbers lie: Intel's conditional reproducibility
        "KMP_DETERMINISTIC_REDUCTION": "TRUE",  # the OpenMP runtime of LLVM and Intel
        "CUDA_VISIBLE_DEVICES": ",".join(str(number) for number in range(run.gpu)),
        **(_ON_A_GPU if run.gpu else {}),
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # NVIDIA: cuBLAS 12, results reproducibility
    }
