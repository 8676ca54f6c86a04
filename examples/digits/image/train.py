"""Trains a small convolutional net on 8x8 images of handwritten digits.

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

SAMPLES = 128


class Digits(nn.Module):
    """Two convolutions, one hidden layer; pixels from 0 to 16 in, ten scores out."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(32 * 4 * 4, 64), nn.ReLU(), nn.Linear(64, 10),
        )  # fmt: skip

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Scores of the ten digits for each image."""
        return self.layers(images / 16.0)


def read(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """A CSV with a header: `label`, then 64 pixels from 0 to 16."""
    rows = numpy.loadtxt(path, delimiter=",", skiprows=1, dtype=numpy.float32)
    return torch.from_numpy(rows[:, 1:]).reshape(-1, 1, 8, 8), torch.from_numpy(rows[:, 0]).long()


def train(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, settings: argparse.Namespace) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    for epoch in range(1, settings.epochs + 1):
        total = 0.0
        for rows in torch.randperm(len(images)).split(settings.batch_size):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(images[rows]), labels[rows])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
        print(f"epoch {epoch}/{settings.epochs} loss {total / len(images):.4f}", flush=True)


def save(model: nn.Module, images: torch.Tensor, path: Path) -> None:
    """Writes the model with a free batch size and no paths of this machine: equal runs give equal bytes."""
    example = images[:2].clone()  # a view would carry the whole dataset into the file
    batch = torch.export.Dim("batch", min=1)
    program = torch.export.export(model.eval(), (example,), dynamic_shapes={"images": {0: batch}})
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    torch.export.save(program, path)


def run(settings: argparse.Namespace) -> None:
    channel = os.environ.get("SM_CHANNEL_TRAIN", "/opt/ml/input/data/train")
    model_dir = Path(os.environ.get("SM_MODEL_DIR", "/opt/ml/model"))
    output_dir = Path(os.environ.get("SM_OUTPUT_DIR", "/opt/ml/output"))
    torch.manual_seed(settings.seed)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    for name in ("train.csv", "test.csv"):
        if not (Path(channel) / name).is_file():
            raise FileNotFoundError(f"{name} is not in the channel {channel}: make the dataset with make_dataset.py")
    images, labels = read(Path(channel) / "train.csv")
    test_images, test_labels = read(Path(channel) / "test.csv")
    model = Digits()
    train(model, images, labels, settings)
    with torch.no_grad():
        accuracy = (model(test_images).argmax(1) == test_labels).double().mean().item()
    print(f"accuracy {accuracy:.4f} on {len(test_labels)} test images", flush=True)
    save(model, images, model_dir / "model.pt2")
    # Some test rows for the platform, which measures the accuracy before and after translating the model.
    rows = {"images": test_images[:SAMPLES].numpy(), "labels": test_labels[:SAMPLES].numpy()}
    numpy.savez(model_dir / "samples.npz", **rows)
    (output_dir / "metrics.json").write_text(json.dumps({"accuracy": round(accuracy, 6)}) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=0.003)
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
