"""The words of the command line: options, exit statuses, what each command asks and shows."""

import argparse
import hashlib
import io
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from functions.__main__ import main, parser
from functions._cli import options
from functions._cli.assets import model_body, name_of
from functions._cli.client import Client, Place, owner
from functions._cli.lineage import dot, tree
from functions._cli.listing import LocalFile
from functions._cli.parts import MOST, part_size
from functions._cli.upload import PAGE_BYTES, PAGE_FILES, SMALL, pages
from functions._cli.verify import is_settled
from functions._domain.errors import RejectedRequest, RejectedUnknown, Unavailable

ONE, TWO = "6f0a3c52-5f0b-4b0e-9d8e-0f7a1c2b3d4e", "7f0a3c52-5f0b-4b0e-9d8e-0f7a1c2b3d4e"
PINNED = "registry.example/x@sha256:" + "a" * 64
Answers = dict[tuple[str, str], Callable[[Any], tuple[int, Any]]]


class Platform:
    """Answers that a test has prepared; ``asked`` holds what came."""

    def __init__(self) -> None:
        self.answers: Answers = {}
        self.asked: list[tuple[str, str, Any, dict[str, str]]] = []

    def says(self, method: str, path: str, *documents: Any, status: int = 200) -> None:
        """Prepare answers to the same request: one after the other, the last one for ever."""
        waiting = list(documents)
        self.answers[method, path] = lambda _: (status, waiting.pop(0) if len(waiting) > 1 else waiting[0])


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Platform]:
    platform = Platform()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = json.loads(data) if data else None
            platform.asked.append((self.command, self.path, body, dict(self.headers)))
            answer = platform.answers.get((self.command, self.path))
            status, document = answer(body) if answer else (404, {"title": "Not Found", "detail": self.path})
            out = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(out)))
            self.end_headers()
            self.wfile.write(out)

        def do_POST(self) -> None:
            self.do_GET()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("POLYGLOT_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("POLYGLOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("POLYGLOT_TOKEN", "secret")
    monkeypatch.delenv("POLYGLOT_INGRESS_URL", raising=False)
    monkeypatch.setattr("functions._cli.wait.FIRST", 0.01)
    yield platform
    server.shutdown()
    server.server_close()


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    status = main(args)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [("512M", 512 << 20), ("2G", 2 << 30), ("1.5GiB", 3 << 29), ("4Ki", 4096), ("77", 77)],
)
def test_sizes_are_in_powers_of_1024(text: str, bytes_: int) -> None:
    assert options.size(text) == bytes_


@pytest.mark.parametrize(("text", "seconds"), [("3600", 3600), ("90s", 90), ("30m", 1800), ("2h", 7200), ("1d", 86400)])
def test_durations_are_in_seconds(text: str, seconds: int) -> None:
    assert options.duration(text) == seconds


@pytest.mark.parametrize(
    ("parse", "text"),
    [(options.size, "2X"), (options.size, "-1"), (options.duration, "soon"), (options.duration, ""),
     (options.asset, "1"),
     (options.channel, f"={ONE}"), (options.channel, "train"), (options.setting, "epochs"), (options.setting, "=3")],
)  # fmt: skip
def test_what_is_not_understood_is_refused(parse: Callable[[str], object], text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        parse(text)


def test_a_dataset_comes_by_the_train_channel_unless_named() -> None:
    assert options.channel(ONE) == ("train", ONE)
    assert options.channel(f"eval={ONE.upper()}") == ("eval", ONE)


def test_a_model_body_holds_what_was_given_and_nothing_else() -> None:
    command = ["model", "register", "--dataset", ONE, "--image", PINNED]
    assert model_body(parser().parse_args(command)) == {"datasets": {"train": ONE}}
    more = ["--command", "python", "--command=-u", "--hyperparameter", "lr=0.1=x", "--cpu", "4", "--memory", "1G"]
    more += ["--gpu", "0", "--deadline", "2h", "--name", "net", "--dataset", f"eval={TWO}"]
    assert model_body(parser().parse_args(command + more)) == {
        "datasets": {"train": ONE, "eval": TWO},
        "command": ["python", "-u"],
        "hyperparameters": {"lr": "0.1=x"},
        "resources": {"cpu": 4, "memory": 1 << 30, "gpu": 0},
        "deadline": 7200,
        "name": "net",
    }
    with pytest.raises(RejectedRequest, match="given twice"):
        model_body(parser().parse_args([*command, "--dataset", TWO]))


def test_an_asset_is_named_after_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "mäßig & good"
    folder.mkdir()
    assert name_of(folder) == "m-ig - good"


@pytest.mark.parametrize(
    "args",
    [[], ["nothing"], ["status"], ["status", "x"], ["model", "register"], ["list", "--kind", "cat"], ["evidence", ONE],
     ["model", "register", "--dataset", ONE, "--image", "unpinned:latest", "--url", "http://127.0.0.1:9"],
     ["list", "--url", "ftp://x"], ["dataset", "register", "/nowhere", "--url", "http://127.0.0.1:9"]],
)  # fmt: skip
def test_wrong_use_is_2(capsys: pytest.CaptureFixture[str], args: list[str]) -> None:
    status, out, err = run(capsys, *args)
    assert (status, out) == (2, "")
    assert err


def test_no_platform_is_3_and_says_how_to_start_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("POLYGLOT_URL", raising=False)
    status, _, err = run(capsys, "list")
    assert status == 3
    assert "`polyglot up`, then `. polyglot-data/env`" in err
    status, _, err = run(capsys, "list", "--url", "http://127.0.0.1:9")
    assert status == 3
    assert "does not answer (connection refused)" in err


def test_a_bad_name_is_refused_before_anything_is_sent(
    platform: Platform, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(b"")
    status, _, err = run(capsys, "dataset", "register", str(tmp_path / "a"), "--name", "a/b")
    assert status == 2
    assert "name:" in err
    assert not platform.asked


@pytest.mark.parametrize(("status", "expected"), [(400, 2), (401, 2), (403, 2), (404, 2), (413, 2), (422, 2), (500, 3)])
def test_a_refusal_says_why(platform: Platform, capsys: pytest.CaptureFixture[str], status: int, expected: int) -> None:
    platform.says("GET", f"/v1/assets/{ONE}", {"title": "No", "detail": "because of this"}, status=status)
    found, out, err = run(capsys, "show", ONE)
    assert (found, out) == (expected, "")
    assert "No: because of this" in err


def test_a_list_is_an_array_with_json(platform: Platform, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"id": ONE, "kind": "model", "name": "net", "status": "complete"}]
    platform.says("GET", "/v1/assets?kind=model&name=net", {"assets": rows})
    assert json.loads(run(capsys, "list", "--kind", "model", "--name", "net", "--json")[1]) == rows
    assert ONE in run(capsys, "list", "--kind", "model", "--name", "net")[1]
    assert platform.asked[0][3]["Authorization"] == "Bearer secret"


def test_show_tells_the_trained_model_too(platform: Platform, capsys: pytest.CaptureFixture[str]) -> None:
    model = {"id": ONE, "kind": "model", "name": "n", "contract": {"address": "0x1"}, "trained_model": TWO}
    platform.says("GET", f"/v1/assets/{ONE}", model)
    platform.says(
        "GET", f"/v1/assets/{TWO}", {"id": TWO, "kind": "trained-model", "name": "n", "metrics": {"acc": 0.9}}
    )
    text = run(capsys, "show", ONE)[1]
    assert "trained-model" in text
    assert "0.9" in text
    assert json.loads(run(capsys, "show", ONE, "--json")[1])["contract"]["address"] == "0x1"


def step(name: str, state: str, asset: str = ONE, reason: str = "") -> dict[str, Any]:
    return {"step": name, "asset": asset, "state": state, "reason": reason, "detail": {}}


def test_waiting_for_a_model_tells_each_step_once(platform: Platform, capsys: pytest.CaptureFixture[str]) -> None:
    platform.says("POST", "/v1/models", {"id": TWO, "asset": ONE}, status=202)
    request = {"id": TWO, "asset": ONE}
    platform.says(
        "GET",
        f"/v1/requests/{TWO}",
        request | {"state": "waiting", "steps": [step("ingest", "waiting")]},
        request | {"state": "running", "steps": [step("ingest", "done"), step("train", "running")]},
        request | {"state": "complete", "steps": [step("ingest", "done"), step("train", "done")]},
    )
    contract = {
        "address": "0x1",
        "ledger": "0x2",
        "chain_id": 1,
        "inventory_digest": f"sha256:{hashlib.sha256().hexdigest()}",
        "record_digest": "r",
    }
    platform.says("GET", f"/v1/assets/{ONE}/contract", contract | {"registered_at": 7})
    made = {"trained_model": "trained-uuid", "translation": "translation-uuid"}
    platform.says("GET", f"/v1/assets/{ONE}", {"id": ONE, "kind": "model", **made})
    platform.says("GET", "/v1/assets/translation-uuid", {"id": "translation-uuid", "verdict": "not-equal"})
    status, out, err = run(capsys, "model", "register", "--dataset", TWO, "--image", PINNED, "--wait")
    assert (status, out) == (0, ONE + "\n")
    assert err.count("ingest") == 1
    assert "trained-uuid" in err
    assert "warning: the translation translation-uuid" in err
    assert platform.asked[0][2] == {"datasets": {"train": TWO}, "image": PINNED}


def test_a_failed_training_is_1_with_reason_and_log(platform: Platform, capsys: pytest.CaptureFixture[str]) -> None:
    platform.says("POST", "/v1/models", {"id": TWO, "asset": ONE}, status=202)
    steps = [step("train", "failed", TWO, "exit status 1")]
    answer = {"id": TWO, "asset": ONE, "state": "failed", "reason": "exit status 1", "steps": steps}
    platform.says("GET", f"/v1/requests/{TWO}", answer)
    platform.says("GET", f"/v1/assets/{ONE}/logs", {"lines": "ZeroDivisionError\n"})
    status, out, err = run(capsys, "model", "register", "--dataset", TWO, "--image", PINNED, "--wait")
    assert (status, out) == (1, "")
    assert "failed at train: exit status 1" in err
    assert "ZeroDivisionError" in err


@pytest.mark.parametrize(("verdict", "expected"), [("passed", 0), ("failed", 1), ("not applicable", 0)])
def test_verify_waits_for_the_ledger(
    platform: Platform, capsys: pytest.CaptureFixture[str], verdict: str, expected: int
) -> None:
    platform.says("POST", "/v1/verifications", {"id": TWO, "asset": ONE}, status=202)
    claim = {"claim": "integrity", "verdict": "", "findings": [], "statement_digest": None, "recorded": False}
    decided = claim | {"verdict": verdict, "findings": ["changed: a/b.csv"], "statement_digest": "sha256:1"}
    request = {"id": TWO, "asset": ONE, "state": "waiting", "steps": [step(f"verify-{TWO}", "waiting")]}
    answers = [claim, decided, decided | {"recorded": True}]
    platform.says("GET", f"/v1/requests/{TWO}", *[request | {"claims": [one]} for one in answers])
    status, out, _ = run(capsys, "verify", ONE, "--path", "a/b.csv")
    assert status == expected
    assert f"integrity: {verdict}" in out
    assert "changed: a/b.csv" in out
    assert ("on the ledger" in out) == (verdict != "not applicable")
    assert platform.asked[0][2] == {"asset": ONE, "level": "integrity", "path": "a/b.csv"}


def test_claims_are_settled_when_each_is_recorded() -> None:
    done = {"verdict": "passed", "recorded": True}
    assert is_settled({"claims": [done]})
    assert not is_settled({"claims": []})
    assert not is_settled({"claims": [done, {"verdict": "", "recorded": False}]})


def test_a_status_of_a_rejected_asset_is_1_and_has_the_reason(
    platform: Platform, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = [step("ingest", "rejected", ONE, "a.csv is missing: register again")]
    answer = {
        "id": ONE,
        "kind": "dataset",
        "state": "rejected",
        "attempt": 1,
        "reason": steps[0]["reason"],
        "steps": steps,
    }
    platform.says("GET", f"/v1/assets/{ONE}/status", answer)
    for options_ in ([], ["--watch"]):
        status, out, err = run(capsys, "status", ONE, *options_)
        assert status == 1
        assert "a.csv is missing" in out + err
        assert "dataset" in out


def test_logs_cancel_retry_and_reconcile(platform: Platform, capsys: pytest.CaptureFixture[str]) -> None:
    platform.says("GET", f"/v1/assets/{ONE}/logs", {"lines": "epoch 1\nepoch 2\n"})
    assert run(capsys, "logs", ONE)[1] == "epoch 1\nepoch 2\n"
    for verb in ("cancel", "retry"):
        platform.says("POST", f"/v1/assets/{ONE}/{verb}", {"id": TWO, "asset": ONE}, status=202)
        assert run(capsys, verb, ONE)[1] == ONE + "\n"
    platform.says("POST", "/v1/reconcile?all=true", {"looked_at": 3, "announced": ["contract.deployed x"]})
    assert run(capsys, "reconcile", "--all")[1].startswith("looked at 3, announced 1\n")


def test_translate_prints_the_translation(platform: Platform, capsys: pytest.CaptureFixture[str]) -> None:
    platform.says("POST", "/v1/translations", {"id": ONE, "asset": TWO}, status=202)
    assert run(capsys, "translate", ONE, "--opset", "18")[1] == TWO + "\n"
    assert platform.asked[0][2] == {"asset": ONE, "accelerator": "none", "opset": 18}


NODES = [
    {"id": ONE, "kind": "dataset", "name": "d", "address": "0xd", "parents": []},
    {"id": TWO, "kind": "model", "name": 'm"', "address": None, "parents": [ONE]},
]


def test_a_lineage_is_a_tree_or_a_graph(platform: Platform, capsys: pytest.CaptureFixture[str]) -> None:
    answer = {"subject": TWO, "nodes": NODES}
    assert tree(answer).splitlines() == ["dataset d  6f0a3c52  0xd", '└── model m"  7f0a3c52  not on the ledger  ←']
    assert f'"{ONE}" -> "{TWO}";' in dot(answer)
    assert '\\"' in dot(answer)
    platform.says("GET", f"/v1/assets/{TWO}/lineage", answer)
    assert json.loads(run(capsys, "lineage", TWO, "--format", "json")[1]) == answer


def test_each_route_goes_to_the_host_of_its_function() -> None:
    place = Place("http://{function}.tenant-a.example:8080/base")
    assert place.request("POST", "/v1/datasets") == ("http://register.tenant-a.example:8080/base/v1/datasets", "")
    assert owner("POST", "/v1/reconcile") == "reconcile"
    assert owner("GET", f"/v1/assets/{ONE}/files/") == "retrieve"
    assert owner("GET", f"/v1/assets/{ONE}/files/a/b") == "retrieve"
    with pytest.raises(RejectedUnknown):
        owner("GET", "/v1/nothing")
    behind = Place("https://{function}.tenant-a.example", "http://127.0.0.1:8081")
    assert behind.request("GET", f"/v1/assets/{ONE}") == (
        f"http://127.0.0.1:8081/v1/assets/{ONE}",
        "retrieve.tenant-a.example",
    )


def test_behind_an_ingress_the_service_is_named_in_host(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    platform.says("GET", "/v1/assets", {"assets": []})
    monkeypatch.setenv("POLYGLOT_INGRESS_URL", os.environ["POLYGLOT_URL"])
    assert main(["list", "--url", "http://{function}.tenant-a.example"]) == 0
    assert platform.asked[0][3]["Host"] == "retrieve.tenant-a.example"


def test_a_request_that_is_busy_for_too_long_is_unavailable(platform: Platform) -> None:
    import os

    platform.says("GET", "/v1/assets", {"detail": "starting"}, status=503)
    with pytest.raises(Unavailable, match="starting"):
        Client(Place(os.environ["POLYGLOT_URL"]), "", patience=0.5).get("/v1/assets")
    assert len(platform.asked) > 1


def test_pages_are_bounded_and_follow_from_the_listing() -> None:
    sizes = [10] * (PAGE_FILES + 1) + [SMALL] * 5 + [SMALL + 1, 100 * SMALL]
    files = [LocalFile("", f"{number:06}", size, 0) for number, size in enumerate(sizes)]
    found = list(pages(files))
    small = [page for page in found if not page.large]
    assert [len(page.positions) for page in small] == [PAGE_FILES, 4, 2]
    assert all(sum(sizes[position] for position in page.positions) <= PAGE_BYTES for page in small)
    assert [page.number for page in found] == [0, 1, 2, 3, 5]
    assert sorted(position for page in found for position in page.positions) == list(range(len(sizes)))


@pytest.mark.parametrize("size", [SMALL + 1, 5 << 30, 160_000 << 20, 1 << 40, 5 << 40])
def test_a_file_has_at_most_ten_thousand_parts(size: int) -> None:
    assert part_size(size) % 2**20 == 0
    assert -(-size // part_size(size)) <= MOST


def test_help_is_quick_and_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["--help"], ["dataset", "register", "--help"], ["verify", "--help"]):
        status, out, _ = run(capsys, *command)
        assert status == 0
        assert "polyglot dataset register" in out or "polyglot verify" in out


def test_nothing_heavy_is_imported_before_a_command_runs() -> None:
    import subprocess
    import sys

    code = "import sys, functions.__main__ as m; m.parser(); print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"rich", "urllib3", "pydantic", "boto3"} & set(modules)


def test_output_into_a_closed_pipe_ends_quietly(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

        def fileno(self) -> int:
            import os

            return os.open(os.devnull, os.O_WRONLY)

    platform.says("GET", f"/v1/assets/{ONE}/logs", {"lines": "x"})
    monkeypatch.setattr("sys.stdout", Closed())
    assert main(["logs", ONE]) == 1
