"""Gas: the committed snapshot that ``contracts/script/gas.mjs`` measures, beside EAS ``attest`` of the same fields."""

import json
from pathlib import Path

from benchmarks.sizes import Sizes
from benchmarks.table import Row

SNAPSHOT = Path(__file__).parents[1] / "contracts" / "gas-snapshot.json"
LIMIT = 150_000


def rows(_sizes: Sizes, _scratch: Path) -> list[Row]:
    """A row for each kind of asset, and one for evidence."""
    measured = json.loads(SNAPSHOT.read_text())
    service = measured["ethereum attestation service"]
    attest = service["model"]["attest"]
    found = [
        Row(
            f"gas of registering a {kind}, against EAS attest",
            f"{gas:,}",
            f"{attest:,}",
            f"{gas / attest:.2f}",
            f"under {LIMIT:,}",
            gas < LIMIT,
        )
        for kind, gas in measured["registration"].items()
    ]
    recorded, attested = measured["evidence"], service["evidence"]["attest"]
    ratio = f"{recorded / attested:.2f}"
    found.append(
        Row("gas of recording evidence, against EAS attest", f"{recorded:,}", f"{attested:,}", ratio, "", None)
    )
    return found
