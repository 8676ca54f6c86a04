"""Writes the diabetes dataset as two CSV files, always the same bytes: python make_dataset.py FOLDER."""

import sys
from pathlib import Path

from sklearn.datasets import load_diabetes

TEST_EVERY = 5


def main(folder: Path) -> None:
    # Unscaled, as measured in the clinic: the model learns the scaling and carries it along.
    patients = load_diabetes(scaled=False)
    header = ",".join(["progression", *patients.feature_names])
    lines = [
        ",".join(f"{value:g}" for value in (target, *features))
        for target, features in zip(patients.target, patients.data, strict=True)
    ]
    parts = {
        "train.csv": [line for index, line in enumerate(lines) if index % TEST_EVERY],
        "test.csv": lines[::TEST_EVERY],
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in parts.items():
        (folder / name).write_bytes("\n".join([header, *rows, ""]).encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
