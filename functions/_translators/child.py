"""The manners of a translator: how it is called, what it leaves behind, which exit status it ends with.

A framework's module hands one function over, mostly that of ``functions._translators.exporting``:

    if __name__ == "__main__":
        sys.exit(main(sys.argv[1:], translate))

It is run as ``python -I -m functions._translators.FRAMEWORK SOURCE TARGET OPTIONS.json`` and leaves ``model.onnx`` with
``report.json`` in TARGET (exit status 0), or ``refusal.json`` (exit status 3) where the model cannot be translated. Any
other end is a crash, which the starter explains.
"""

import json
import logging
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from functions._domain.digests import canonical
from functions._domain.errors import PolyglotError, RejectedContent
from functions._domain.formats import Format, ModelFile, detect

REFUSED = 3
SCHEMA = "polyglot/translation-report/v1"
NODES_BOUND = 50_000
"""Operations of a graph; with more than that no exporter or runtime here would end."""

_REASON_BOUND = 300


@dataclass(frozen=True)
class Options:
    """What was asked for: an ONNX opset, or None for the lowest that works, and the seed of the measuring.

    With ``measure`` nothing is exported: what lies in the target is measured. ``accelerator`` is what it is measured on
    beside the CPU. ``one_file`` are the bytes of weights above which they lie in a second file, since protobuf ends at
    2 GiB.
    """

    opset: int | None = None
    seed: int = 0
    measure: bool = False
    accelerator: str = "none"
    one_file: int = 1_900_000_000

    @classmethod
    def read(cls, path: Path) -> "Options":
        """From a JSON file; names that this version does not know are left alone."""
        asked = json.loads(path.read_bytes())
        accelerator = str(asked.get("accelerator") or "none")
        one_file = asked.get("one_file", cls.one_file)
        return cls(asked.get("opset"), asked.get("seed") or 0, asked.get("measure") is True, accelerator, one_file)


Translate = Callable[[Path, Path, Options], Mapping[str, object]]


def main(arguments: Sequence[str], translate: Translate) -> int:
    """Run a translator with the arguments of its command line; returns the exit status."""
    # Frameworks write pages for their own developers; what matters of them comes as an error.
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    source, target, options = (Path(argument) for argument in arguments)
    started = time.monotonic()
    try:
        report = translate(source, target, Options.read(options))
    except PolyglotError as error:
        (target / "refusal.json").write_bytes(canonical({"reason": str(error)}))
        return REFUSED
    seconds = round(time.monotonic() - started, 3)
    (target / "report.json").write_bytes(canonical({"schema": SCHEMA, **report, "seconds": seconds}))
    return 0


@contextmanager
def refusing(what: str, advice: str) -> Iterator[None]:
    """Turns whatever a framework raises into a refusal that says what failed and what to do."""
    try:
        yield
    except PolyglotError:
        raise
    except Exception as error:
        raise RejectedContent(f"{what}: {_root_cause(error)}; {advice}") from error


def _root_cause(error: BaseException) -> str:
    """The first error of a chain in one line: frameworks wrap it in pages of advice for their own developers."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = " ".join(str(error).split()) or "no message"
    return f"{type(error).__name__}: {text[:_REASON_BOUND]}"


def refuse_more_nodes(count: int) -> None:
    """Raises RejectedContent where a graph has more operations than anything here would end with."""
    if count > NODES_BOUND:
        raise RejectedContent(
            f"it has more than {NODES_BOUND} operations, which nothing here would end with: write loops as loops"
        )


def model_in(folder: Path) -> Format:
    """What the model in a folder is. Raises RejectedContent as ``detect`` does."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return detect(
        [ModelFile(path.relative_to(folder).as_posix(), path.stat().st_size, _opener(path)) for path in paths]
    )


def _opener(path: Path) -> Callable[[], BinaryIO]:
    return lambda: path.open("rb")
