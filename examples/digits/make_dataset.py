"""Writes the digits dataset as two CSV files, always the same bytes: python make_dataset.py FOLDER."""

import sys
from pathlib import Path

from sklearn.datasets import load_digits

TEST_EVERY = 5


def main(folder: Path) -> None:
    digits = load_digits()
    header = ",".join(["label", *(f"pixel_{row}_{column}" for row in range(8) for column in range(8))])
    lines = [
        ",".join(str(int(value)) for value in (label, *pixels))
        for label, pixels in zip(digits.target, digits.data, strict=True)
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
