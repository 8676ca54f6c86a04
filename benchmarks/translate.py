"""Translating: exporting and measuring, as the function ``translate`` has it done, beside the bare exporter.

Ours is ``ChildTranslator``, start of the child included. The other side is a fresh process that imports the framework,
loads the same file and exports it with ``torch.onnx.export``, which measures nothing.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.site import inherited
from benchmarks.sizes import Sizes
from benchmarks.table import Row, in_turns
from functions._backends.translator import GIB, ChildTranslator, Limits

SMALL = """
from torch import nn
model = nn.Sequential(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(8), nn.Flatten(), nn.Linear(2048, 256),
    nn.ReLU(), nn.Linear(256, 10))
example = torch.randn(2, 3, 32, 32)
"""

RESNET_50 = """
from torch import nn
def unit(inner, stride, outer):
    return nn.Sequential(nn.Conv2d(inner, outer, 1, stride, bias=False), nn.BatchNorm2d(outer))

class Bottleneck(nn.Module):
    def __init__(self, inner, width, stride):
        super().__init__()
        self.first, self.last = unit(inner, 1, width), unit(width, 1, 4 * width)
        self.middle = nn.Sequential(nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width))
        self.short = unit(inner, stride, 4 * width) if stride > 1 or inner != 4 * width else nn.Identity()

    def forward(self, x):
        return (self.last(self.middle(self.first(x).relu()).relu()) + self.short(x)).relu()

layers, inner = [], 64
for width, count, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
    for number in range(count):
        layers.append(Bottleneck(inner, width, stride if number == 0 else 1))
        inner = 4 * width
stem = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
model = nn.Sequential(*stem, *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000))
example = torch.randn(2, 3, 224, 224)
"""
"""The published architecture (https://arxiv.org/abs/1512.03385), 25.6 million parameters, with random weights."""

SAVE = """
import sys, torch
torch.manual_seed(0)
{code}
batch = torch.export.Dim("batch", min=1, max=64)
program = torch.export.export(model.eval(), (example,), dynamic_shapes=({{0: batch}},))
torch.export.save(program, sys.argv[1])
"""

BARE = """
import sys, torch
program = torch.export.load(sys.argv[1])
torch.onnx.export(program, (), None, dynamo=True, opset_version=18, verbose=False).save(sys.argv[2])
"""


def rows(sizes: Sizes, scratch: Path) -> list[Row]:
    """A small model and one of ResNet-50's size."""
    rounds = max(1, sizes.rounds // 2 + 1)
    return [
        _row(scratch, "small", SMALL, "a model of 2 MB", None, rounds),
        _row(scratch, "resnet50", RESNET_50, "ResNet-50", 1.5, rounds),
    ]


def _row(scratch: Path, name: str, code: str, what: str, most: float | None, rounds: int) -> Row:
    source = scratch / name
    source.mkdir()
    _python(SAVE.format(code=code), str(source / "model.pt2"))
    report: dict[str, object] = {}

    def ours() -> float:
        with tempfile.TemporaryDirectory(dir=scratch) as target:
            started = time.perf_counter()
            translator = ChildTranslator(Limits(memory=8 * GIB))
            report.update(translator.translate("torch", source, Path(target), {"opset": None}))
            return time.perf_counter() - started

    def theirs() -> float:
        with tempfile.TemporaryDirectory(dir=scratch) as target:
            started = time.perf_counter()
            _python(BARE, str(source / "model.pt2"), str(Path(target, "model.onnx")))
            return time.perf_counter() - started

    ours(), theirs()
    pair = in_turns(ours, theirs, rounds)
    title = f"translate and measure {what}, against torch.onnx.export in a fresh process"
    note = (
        f"verdict {report['verdict']}, {report['cases']} cases, optimizations off and on; medians of {rounds} in turns"
    )
    row = pair.row(title, most=most, note=note)
    if most is not None:
        return row
    more = sorted(pair.ours)[len(pair.ours) // 2] - sorted(pair.theirs)[len(pair.theirs) // 2]
    return Row(row.what, row.ours, row.theirs, f"{more:+.1f} s", "at most 2 s more", more <= 2, row.note, row.samples)


def _python(code: str, *arguments: str) -> None:
    command = [sys.executable, "-W", "ignore", "-c", code, *arguments]
    subprocess.run(command, env=inherited(), check=True, capture_output=True)
