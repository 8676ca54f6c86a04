"""Translates PyTorch: ``.pt2`` exported programs (``torch_program``) and TorchScript (``torch_script``).

Exported programs go through ``torch.onnx.export(dynamo=True)`` and keep their dynamic sizes. TorchScript goes through
the older exporter, with its first dimension as the batch.

    python -I -m functions._translators.torch SOURCE TARGET OPTIONS.json
"""

import sys
from pathlib import Path

from functions._domain.formats import Format
from functions._translators import torch_program, torch_script
from functions._translators.child import Options, main
from functions._translators.equivalence import Source
from functions._translators.exporting import Framework


def read(folder: Path, known: Format, options: Options) -> Source:
    """A loaded PyTorch model. Raises RejectedContent where it cannot be read or measured."""
    import torch

    torch.manual_seed(options.seed)
    torch.set_grad_enabled(False)  # this process translates, and ends
    if known.name == "pt2":
        return torch_program.read(folder / known.main, options.one_file)
    return torch_script.read(folder / known.main)


TORCH = Framework("torch", "PyTorch", (18, 19, 20, 21, 22, 23), ("torch", "onnxscript"), read)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], TORCH.translate))
