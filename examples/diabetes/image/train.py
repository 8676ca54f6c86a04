"""Trains a small network that predicts how a patient's diabetes progresses in a year, from ten measurements.

Runs under SageMaker's conventions: reads SM_CHANNEL_TRAIN, writes SM_MODEL_DIR and SM_OUTPUT_DIR, takes
hyper-parameters as `--name value`. The same seed gives the same bytes.
"""

import argparse
import json
import os
import sys
from pathlib import Path

import numpy
import torch
from torch import nn


class Progression(nn.Module):
    """Ten measurements as they come from the clinic in, one number out; it carries its own scaling."""

    def __init__(self, patients: torch.Tensor, progressions: torch.Tensor, hidden: int) -> None:
        super().__init__()
        self.register_buffer("centre", patients.mean(0))
        self.register_buffer("spread", patients.std(0))
        self.register_buffer("target_centre", progressions.mean())
        self.register_buffer("target_spread", progressions.std())
        self.layers = nn.Sequential(nn.Linear(patients.shape[1], hidden), nn.Tanh(), nn.Linear(hidden, 1))

    def forward(self, patients: torch.Tensor) -> torch.Tensor:
        """The progression after one year, one number for each patient."""
        scaled = self.layers((patients - self.centre) / self.spread)
        return scaled.squeeze(1) * self.target_spread + self.target_centre


def read(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """A CSV with a header: `progression`, then ten measurements."""
    rows = torch.from_numpy(numpy.loadtxt(path, delimiter=",", skiprows=1, dtype=numpy.float32))
    return rows[:, 1:].contiguous(), rows[:, 0].contiguous()


def train(model: Progression, patients: torch.Tensor, progressions: torch.Tensor, settings: argparse.Namespace) -> None:
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, foreach=False
    )
    for epoch in range(1, settings.epochs + 1):
        total = 0.0
        for rows in torch.randperm(len(patients)).split(settings.batch_size):
            optimizer.zero_grad()
            error = (model(patients[rows]) - progressions[rows]) / model.target_spread
            loss = error.square().mean()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
        print(f"epoch {epoch}/{settings.epochs} loss {total / len(patients):.4f}", flush=True)


def save(model: nn.Module, patients: torch.Tensor, path: Path) -> None:
    """Writes the model with a free batch size and no paths of this machine: equal runs give equal bytes."""
    example = patients[:2].clone()  # a view would carry the whole dataset into the file
    batch = torch.export.Dim("batch", min=1)
    program = torch.export.export(model.eval(), (example,), dynamic_shapes={"patients": {0: batch}})
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    torch.export.save(program, path)


def run(settings: argparse.Namespace) -> None:
    channel = Path(os.environ.get("SM_CHANNEL_TRAIN", "/opt/ml/input/data/train"))
    model_dir = Path(os.environ.get("SM_MODEL_DIR", "/opt/ml/model"))
    output_dir = Path(os.environ.get("SM_OUTPUT_DIR", "/opt/ml/output"))
    torch.manual_seed(settings.seed)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    for name in ("train.csv", "test.csv"):
        if not (channel / name).is_file():
            raise FileNotFoundError(f"{name} is not in the channel {channel}: make the dataset with make_dataset.py")
    patients, progressions = read(channel / "train.csv")
    test_patients, test_progressions = read(channel / "test.csv")
    model = Progression(patients, progressions, settings.hidden)
    train(model, patients, progressions, settings)
    with torch.no_grad():
        rmse = (model(test_patients) - test_progressions).double().square().mean().sqrt().item()
    print(f"rmse {rmse:.2f} on {len(test_patients)} test patients", flush=True)
    save(model, patients, model_dir / "model.pt2")
    # The test rows for the platform, which measures the error before and after translating the model.
    numpy.savez(model_dir / "samples.npz", patients=test_patients.numpy(), labels=test_progressions.numpy())
    (output_dir / "metrics.json").write_text(json.dumps({"rmse": round(rmse, 4)}) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--hidden", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=0.01)
    parser.add_argument("--weight-decay", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=7)
    settings, ignored = parser.parse_known_args()
    if ignored:
        print(f"ignored: {' '.join(ignored)}", flush=True)
    try:
        run(settings)
    except (OSError, ValueError) as error:
        print(f"training failed: {error}", file=sys.stderr, flush=True)
        failure = Path(os.environ.get("SM_OUTPUT_DIR", "/opt/ml/output")) / "failure"
        if failure.parent.is_dir():
            failure.write_text(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
