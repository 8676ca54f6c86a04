"""The main job as a short story: a dataset and a model are registered, trained, translated, verified, tampered with.

    make demo

Everything is done with the `polyglot` command, as a user would, on a platform of its own in ./demo-data; the last act
changes one byte in the store behind the platform's back.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
EXAMPLES = {"digits": "accuracy", "diabetes": "rmse"}


class Story:
    """Tells what happens, and stops at what should not."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.environment = dict(os.environ)

    def chapter(self, title: str) -> None:
        print(f"\n── {title} " + "─" * max(0, 72 - len(title)), flush=True)

    def tell(self, label: str, value: object) -> None:
        print(f"   {label:<25} {value}", flush=True)

    def run(self, *arguments: str, expect: int = 0) -> str:
        """Shows a polyglot command, runs it, and returns what it printed."""
        print(f"   $ polyglot {' '.join(arguments)}", flush=True)
        process = subprocess.Popen(
            self.command(*arguments), env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for line in process.stderr or ():
            print(f"     {line}", end="", flush=True)
        out = process.communicate()[0]
        if process.returncode != expect:
            raise SystemExit(f"expected exit status {expect}, found {process.returncode}")
        return out.strip()

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "functions", *arguments]

    def quietly(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.command(*arguments), env=self.environment, capture_output=True, text=True, check=False
        )

    def show(self, asset: str) -> dict[str, Any]:
        shown: dict[str, Any] = json.loads(self.quietly("show", asset, "--json").stdout)
        return shown


def platform(story: Story) -> "subprocess.Popen[bytes]":
    """Starts `polyglot up` and waits until it answers."""
    story.chapter("A platform on this machine: EVM node, object store, broker, trainer, all functions")
    print(f"   $ polyglot up --data {story.data}", flush=True)
    began = time.monotonic()
    process = subprocess.Popen(
        story.command("up", "--data", str(story.data)), stderr=subprocess.PIPE, start_new_session=True
    )
    env = story.data / "env"
    while not env.exists():
        if process.poll() is not None:
            raise SystemExit((process.stderr.read() if process.stderr else b"").decode())
        time.sleep(0.05)
    for line in env.read_text().splitlines():
        name, _, value = line.removeprefix("export ").partition("=")
        story.environment[name] = value.strip("'\"")
    story.tell("ready after", f"{time.monotonic() - began:.1f} s at {story.environment['POLYGLOT_URL']}")
    story.tell("ledger contract", story.environment["POLYGLOT_LEDGER"])
    return process


def tell_contract(story: Story, asset: str) -> None:
    contract = story.show(asset)["contract"]
    story.tell("its contract", contract["address"])
    story.tell("inventory digest", contract["inventory_digest"])


def play(story: Story, example: str) -> None:
    """The chapters."""
    folder = story.data / "dataset"
    subprocess.run([sys.executable, HERE / example / "make_dataset.py", folder], check=True)
    story.chapter("A dataset is registered: uploaded, digested again in its final place, sealed, on the ledger")
    dataset = story.run("dataset", "register", str(folder), "--name", example, "--licence", "CC-BY-4.0", "--wait")
    story.tell("dataset", dataset)
    tell_contract(story, dataset)

    story.chapter("A model is registered: the platform trains it itself and translates it to ONNX")
    began = time.monotonic()
    image = os.path.relpath(HERE / example / "image")
    model = story.run("model", "register", "--dataset", dataset, "--image", image, "--name", example, "--wait")
    shown = story.show(model)
    trained, translation = shown["trained_model"], shown["translation"]
    story.tell("model", model)
    story.tell("trained model", trained)
    tell_contract(story, trained)
    story.tell("translation", translation)
    tell_contract(story, translation)
    story.tell("whole chain", f"{time.monotonic() - began:.1f} s")
    tell_equivalence(story, story.show(trained), story.show(translation), EXAMPLES[example])

    story.chapter("Where it comes from, as the ledger has it")
    print("   " + story.run("lineage", translation).replace("\n", "\n   "))

    story.chapter("Every claim is verified from the bytes and the ledger")
    print("   " + story.run("verify", trained, "--level", "all").replace("\n", "\n   "))

    story.chapter("The ONNX model is fetched: no byte gets its name before the ledger agrees")
    story.run("pull", translation, str(story.data / "pulled"))
    for path in sorted((story.data / "pulled").iterdir()):
        story.tell(path.name, f"{path.stat().st_size:,} bytes")

    story.chapter("A stranger checks it: with the bundle and the files alone, no platform, no network")
    story.run("evidence", translation, "-o", str(story.data / "bundle.json"))
    checked = story.run("check", str(story.data / "bundle.json"), "--files", str(story.data / "pulled"))
    for line in checked.splitlines():
        if ": " in line and not line.startswith(" "):
            print(f"   {line}", flush=True)

    story.chapter("Somebody changes one byte in the store, behind the platform's back")
    victim = next(story.data.glob(f"bucket/*/assets/{translation}/files/*.onnx"))
    flip(victim)
    story.tell("one byte flipped in", victim)
    print("   " + story.run("verify", translation, expect=1).replace("\n", "\n   "))
    story.tell("exit status", "1: the tampered file is named above")


def tell_equivalence(story: Story, trained: dict[str, Any], translation: dict[str, Any], metric: str) -> None:
    measured = translation["equivalence"]
    worst = max(one["max_abs"] for one in measured["figures"].values())
    story.tell(f"{metric} of training", trained["metrics"][metric])
    task = measured["metric"]
    story.tell(
        f"{task['name']} on {task['rows']} samples",
        f"{task['source']:.6g} before, {task['onnx']:.6g} after translation",
    )
    story.tell("verdict", f"{translation['verdict']}: outputs differ by at most {worst:.2g}")


def flip(path: Path) -> None:
    """Changes one byte in the middle of a file."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 0x01]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("example", nargs="?", choices=EXAMPLES, default="digits")
    parser.add_argument("--data", type=Path, default=Path("demo-data"), help="made anew; kept afterwards to look at")
    arguments = parser.parse_args()
    if (arguments.data / "bucket").exists():
        shutil.rmtree(arguments.data)
    story = Story(arguments.data)
    process = platform(story)
    try:
        play(story, arguments.example)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=15)
    story.chapter("The end")
    print(f"   All of it is still in {arguments.data}: polyglot up --data {arguments.data}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
