"""The process trainer, with real children. What needs no order runs at once, and each test looks at its own run."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from functions._backends.isolation import available
from functions._backends.process import ProcessEngine
from functions._backends.process_tree import birth, kill_tree, memory_of_tree, tree
from functions._domain.digests import digest_of
from functions._domain.errors import RejectedConflict, RejectedRequest
from functions._domain.ports import Run, RunState
from tests.fakes import FolderStorage
from tests.training_lab import SECRET, Case, Collecting, Lab, until

FOREVER = "print('parent', os.getppid(), flush=True)\ntime.sleep(60)\n"

SUCCEEDS = """
import json
(model / "weights").mkdir()
(model / "weights" / "a.bin").write_bytes((pathlib.Path(os.environ["SM_CHANNEL_TRAIN"]) / "sub" / "x.csv").read_bytes())
output = pathlib.Path(os.environ["SM_OUTPUT_DIR"])
(output / "metrics.json").write_text(json.dumps({"accuracy": 0.5}))
seen = {"argv": sys.argv[1:], "environment": dict(os.environ), "here": sorted(os.listdir("."))}
seen["parent"] = pathlib.Path(f"/proc/{os.getppid()}/cmdline").read_text() if os.path.isdir("/proc") else ""
seen["hyperparameters"] = json.loads((output.parent / "input/config/hyperparameters.json").read_text())
(model / "seen.json").write_text(json.dumps(seen))
print("trained")
"""
TRIES_NETWORK = """
import socket
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[-1])), 3).close()
    found = "reached"
except OSError as error:
    found = f"refused: {error}"
(model / "found").write_text(found)
"""
TRIES_FILES = """
def tried(what):
    try:
        return what()
    except OSError as error:
        return type(error).__name__
platform = model.parents[3]
data = pathlib.Path(os.environ["SM_CHANNEL_TRAIN"])
found = [tried(lambda: (platform / "token").read_text()), tried(lambda: (data / "new").write_text("x"))]
found.append(tried(lambda: (platform.parent / "elsewhere").write_text("x")))
(model / "found").write_text(repr(found))
"""
HAS_WORKERS = """
import multiprocessing, multiprocessing.connection
with multiprocessing.connection.Listener(None, "AF_UNIX"), multiprocessing.get_context("fork").Pool(2) as pool:
    (model / "sum").write_text(str(sum(pool.map(abs, [-1, -2]))))
"""
LEAVES_CHILDREN = """
import subprocess
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
(model / "child").write_text(str(child.pid))
"""


CASES = {
    "succeeds": Case(SUCCEEDS, {"hyperparameters": {"epochs": "2", "a": "x y", "seed": "7"}}, {"lib/help.py": "x = 1"}),
    "exits": Case("print('before the end'); sys.exit(1)"),
    "says-why": Case("(model.parent / 'output' / 'failure').write_text('the data has no labels'); sys.exit(1)"),
    "forever": Case("time.sleep(60)", {"deadline": 1}),
    "fills-disk": Case("while True: (model / str(time.time())).write_bytes(bytes(1 << 20)); time.sleep(0.01)"),
    "one-large-file": Case("(model / 'big').write_bytes(b'x' * (200 << 20))"),
    "fills-memory": Case("held = bytearray(b'x' * (300 << 20)); time.sleep(60)", {"memory": 100 << 20}),
    "no-model": Case("pass"),
    "link": Case("os.symlink('/etc/passwd', model / 'weights')"),
    "pipe": Case("os.mkfifo(model / 'weights')"),
    "odd-name": Case("(model / 'a\\\\b').write_text('x')"),
    "needs-package": Case("pass", {}, {"requirements.txt": "# ours\nurllib3>=2\nno-such-package==1.0  # why\n"}),
    "command": Case("", {"command": ("sh", "-c", "echo $0 $1 > $SM_MODEL_DIR/said")}),
    "no-script": Case("pass", {"command": ("other.py",)}),
    "talks": Case("(model / 'x').write_text('x')\nfor n in range(40_000): print('line', n, 'x' * 800)"),
    "files": Case(TRIES_FILES),
    "workers": Case(HAS_WORKERS),
    "leaves-children": Case(LEAVES_CHILDREN),
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    root = tmp_path_factory.mktemp("lab")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Collecting)
    server.events = []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (root / "data").mkdir()
    (root / "data" / "token").write_text("the platform's token")
    lab = Lab(root / "data", FolderStorage(root / "bucket"), server)
    for name, case in CASES.items():
        lab.runs[name] = lab.submit(case)
    yield lab
    for name in lab.runs:
        lab.engine().cancel(lab.runs[name].name)
    server.shutdown()
    server.server_close()


def test_a_script_that_writes_a_file_succeeds_and_its_results_are_staged(lab: Lab) -> None:
    run = lab.runs["succeeds"]
    state = lab.ended(run)
    assert (state.phase, state.exit_code, state.reason) == ("succeeded", 0, "")
    assert state.started < state.finished
    assert lab.result(run, "model/weights/a.bin") == b"1,2\n"
    assert lab.result(run, "output/metrics.json") == b'{"accuracy": 0.5}'
    log = lab.result(run, "log.txt")
    assert log == b"trained\n"
    assert state.environment["log_digest"] == digest_of(log)
    assert state.environment["seeds"] == {"PYTHONHASHSEED": 0, "POLYGLOT_SEED": 7}


def test_the_script_finds_sagemakers_names_and_its_settings(lab: Lab) -> None:
    seen = json.loads(lab.result(lab.runs["succeeds"], "model/seen.json") or b"")
    assert seen["argv"] == ["--a", "x y", "--epochs", "2", "--seed", "7"]
    assert seen["hyperparameters"] == {"epochs": "2", "a": "x y", "seed": "7"}
    assert seen["here"] == ["Containerfile", "lib", "train.py"]
    environment = seen["environment"]
    assert environment["SM_CHANNEL_TRAIN"].endswith("/input/data/train")
    assert (environment["SM_HP_EPOCHS"], environment["SM_CHANNELS"], environment["SM_NUM_GPUS"]) == (
        "2",
        '["train"]',
        "0",
    )
    assert (environment["PYTHONHASHSEED"], environment["POLYGLOT_SEED"]) == ("0", "7")


def test_no_credential_is_in_the_scripts_environment_nor_on_a_command_line(lab: Lab) -> None:
    seen = json.loads(lab.result(lab.runs["succeeds"], "model/seen.json") or b"")
    assert SECRET not in json.dumps(seen)
    assert not [name for name in seen["environment"] if name.startswith(("AWS_", "POLYGLOT_S3", "POLYGLOT_BROKER"))]


def test_its_end_is_announced_once_as_a_cloudevent_of_the_run(lab: Lab) -> None:
    run = lab.runs["succeeds"]
    [(headers, data)] = until(lambda: lab.events(run))
    assert headers["ce-type"] == "io.polyglot.training.finished.v1"
    assert headers["ce-source"] == f"/tenants/acme/runs/{run.name}"
    assert data == {"schema": "polyglot/training.finished/v1", "run": run.name}


def test_the_work_folder_is_removed_and_the_log_stays(lab: Lab) -> None:
    run = lab.runs["succeeds"]
    lab.ended(run)
    until(lambda: not (lab.folder / "engine" / run.name / "work").exists())
    assert lab.engine().log(run.name) == "trained\n"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("exits", "the training exited with code 1: before the end"),
        ("says-why", "the training exited with code 1: the data has no labels"),
        ("forever", "ran longer than its deadline of 1 s: raise --deadline"),
        ("fills-disk", "bytes to disk, and 16777216 are allowed"),
        ("one-large-file", "bytes to disk, and 16777216 are allowed"),
        ("fills-memory", "more than the 104857600 it asked for: raise --memory"),
        ("no-model", "wrote no model: write your model below $SM_MODEL_DIR"),
        ("link", "wrote a symbolic link, 'weights', below $SM_MODEL_DIR"),
        ("pipe", "wrote a special file, 'weights', below $SM_MODEL_DIR"),
        ("odd-name", "has a backslash"),
        ("needs-package", "requirements.txt asks for no-such-package==1.0 (found none)"),
        ("no-script", "the image folder has no other.py"),
    ],
)
def test_a_training_without_a_model_fails_with_a_reason(lab: Lab, name: str, reason: str) -> None:
    run = lab.runs[name]
    state = lab.ended(run)
    assert state.phase == "failed"
    assert reason in state.reason
    staged = [entry.key.split("/", 3)[3] for entry in lab.storage.list(f"runs/{run.asset}/")]
    assert staged == ["log.txt", "output/failure"]
    assert until(lambda: lab.events(run))


def test_another_command_runs_in_the_image_folder(lab: Lab) -> None:
    run = lab.runs["command"]
    assert lab.ended(run).phase == "succeeded"
    assert lab.result(run, "model/said") == b"sh\n"


def test_a_long_log_keeps_its_beginning_and_its_end_and_says_what_was_cut(lab: Lab) -> None:
    run = lab.runs["talks"]
    assert lab.ended(run).phase == "succeeded"
    log = lab.result(run, "log.txt") or b""
    assert log.startswith(b"line 0 x")
    assert b"bytes of the log were cut here]" in log
    assert log.endswith(b"line 39999 " + b"x" * 800 + b"\n")
    assert len(log) < 26 << 20
    assert lab.engine().log(run.name, 1) == "line 39999 " + "x" * 800 + "\n"


def test_what_a_script_leaves_running_is_ended(lab: Lab) -> None:
    child = int(lab.result(lab.runs["leaves-children"], "model/child") or b"")
    assert birth(child) == ""


def test_a_script_may_have_workers_with_sockets_and_semaphores(lab: Lab) -> None:
    run = lab.runs["workers"]
    assert lab.ended(run).reason == ""
    assert lab.result(run, "model/sum") == b"3"


def test_the_platforms_files_are_out_of_reach_where_the_kernel_allows(lab: Lab) -> None:
    run = lab.runs["files"]
    found = (lab.result(run, "model/found") or b"").decode()
    if lab.ended(run).isolation["files"] != "own":
        pytest.skip("this kernel gives no mount namespace")
    assert found == "['FileNotFoundError', 'OSError', 'OSError']"


def test_no_server_is_reached_where_isolation_says_so(lab: Lab) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        run = lab.submit(Case(TRIES_NETWORK, {"hyperparameters": {"port": port}}))
        found = (lab.result(run, "model/found") or b"").decode()
    assert lab.ended(run).isolation["network"] == available()["network"]
    assert found.startswith("refused" if available()["network"] == "none" else "reached")


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("files/y.csv", "file y.csv of dataset {dataset} is not what was registered"),
        ("inventory.jsonl", "the inventory of dataset {dataset} digests to"),
    ],
)
def test_a_changed_dataset_is_refused_before_training(lab: Lab, key: str, reason: str) -> None:
    run = lab.run(Case("(model / 'x').write_text('x')"))
    dataset = run.channels[0].dataset
    path = lab.storage.folder / f"assets/{dataset}/{key}"
    path.write_bytes(path.read_bytes().replace(b"3", b"9", 1))
    lab.engine().submit(run)
    state = lab.ended(run)
    assert reason.format(dataset=dataset) in state.reason
    assert state.exit_code is None


def test_a_missing_dataset_file_is_named(lab: Lab) -> None:
    run = lab.run(Case("(model / 'x').write_text('x')"))
    dataset = run.channels[0].dataset
    lab.storage.delete(f"assets/{dataset}/files/z.csv")
    lab.engine().submit(run)
    assert lab.ended(run).reason == f"file z.csv of dataset {dataset} is missing in the store"


def test_a_file_added_to_an_image_folder_is_found(lab: Lab) -> None:
    run = lab.run(Case("(model / 'added').write_text('x')"))
    lab.storage.create(f"images/{run.image[7:]}/sitecustomize.py", b"")
    lab.engine().submit(run)
    assert "a file was added, removed, renamed or changed" in lab.ended(run).reason


def test_eight_submissions_at_once_run_once(lab: Lab) -> None:
    run = lab.run(Case("(model / 'x').write_text('x')"))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: lab.engine().submit(run), range(8)))
    state = lab.ended(run)
    lab.engine().submit(run)
    assert lab.ended(run) == state
    until(lambda: lab.events(run))
    executions = {entry.key.split("/")[2] for entry in lab.storage.list(f"runs/{run.asset}/")}
    assert (executions, len(lab.events(run))) == ({state.execution}, 1)


def test_a_running_training_is_logged_and_cancelled(lab: Lab) -> None:
    run = lab.submit(Case(FOREVER))
    engine = lab.engine()
    pid = supervisor_of(lab, run)
    assert engine.state(run.name).phase == "running"
    engine.cancel(run.name)
    state = lab.ended(run)
    assert (state.phase, state.reason) == ("failed", "cancelled")
    until(lambda: birth(pid) == "")
    assert lab.events(run)


def test_a_training_cancelled_before_its_start_never_starts(lab: Lab) -> None:
    run = lab.run(Case("(model / 'x').write_text('x')"))
    lab.engine().cancel(run.name)
    assert lab.engine().state(run.name).reason == "cancelled"
    lab.engine().submit(run)
    assert (lab.ended(run).phase, lab.ended(run).reason) == ("failed", "cancelled")
    until(lambda: lab.events(run))


def test_a_killed_supervisor_leaves_the_run_unknown_and_submitting_again_works(lab: Lab) -> None:
    run, engine = lab.submit(Case(FOREVER)), lab.engine()
    supervisor = supervisor_of(lab, run)
    first = engine.state(run.name).execution
    script = script_of(lab, run)
    os.kill(supervisor, 9)
    until(lambda: engine.state(run.name).phase == "unknown", 5)
    until(lambda: birth(script) == "", 5)
    engine.submit(run)
    until(lambda: "parent" in engine.log(run.name))
    assert engine.state(run.name).execution not in ("", first)
    engine.cancel(run.name)
    assert lab.ended(run).reason == "cancelled"


def test_a_training_does_not_outlive_the_platform(lab: Lab) -> None:
    run = lab.run(Case(FOREVER))
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as platform:
        engine = lab.engine(POLYGLOT_PLATFORM_PID=str(platform.pid))
        engine.submit(run)
        pids = [supervisor_of(lab, run), script_of(lab, run)]
        platform.kill()
    until(lambda: not [pid for pid in pids if birth(pid)], 5)
    assert engine.state(run.name).phase == "unknown"
    assert not (lab.folder / "engine" / run.name / "work").exists()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def supervisor_of(lab: Lab, run: Run) -> int:
    """The pid of a run's supervisor, as its script has printed it."""
    return int(until(lambda: "parent" in (log := lab.engine().log(run.name)) and log).split()[1])


def script_of(lab: Lab, run: Run) -> int:
    pid: int = json.loads((lab.folder / "engine" / run.name / "running.json").read_bytes())["pid"]
    return pid


def test_what_can_never_run_here_is_refused_with_the_way_out(lab: Lab) -> None:
    run = lab.run(Case("pass"))
    with pytest.raises(RejectedConflict, match="runs image folders only: push the folder"):
        lab.engine().submit(replace(run, image=f"registry/trainer@{run.image}"))
    with pytest.raises(RejectedConflict, match="asks for 99 GPU"):
        lab.engine().submit(replace(run, gpu=99))
    with pytest.raises(RejectedConflict, match=r"listens on 192\.0\.2\.7: start it on 127\.0\.0\.1"):
        lab.engine(POLYGLOT_BROKER_URL="http://192.0.2.7/broker").submit(run)
    with pytest.raises(RejectedRequest, match="not a run's name"):
        lab.engine().state("../../etc")
    assert lab.engine().state(run.name) == RunState("unknown")


def test_it_trains_from_a_real_object_store(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    (tmp_path / "buckets" / "acme").mkdir(parents=True)
    (tmp_path / "data").mkdir()
    command = [sys.executable, "-m", "localbucket", "--port", port, str(tmp_path / "buckets")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            until(lambda: answers(int(port)))
            lab = Lab(tmp_path / "data", FolderStorage(tmp_path / "buckets" / "acme"))
            settings = {"POLYGLOT_S3_URL": f"http://127.0.0.1:{port}", "POLYGLOT_BUCKET": "acme"}
            run = lab.run(Case(SUCCEEDS))
            engine = ProcessEngine(lab.folder, {**settings, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": SECRET})
            engine.submit(run)
            until(lambda: engine.state(run.name).phase != "running")
            state = engine.state(run.name)
            assert (state.phase, state.reason) == ("succeeded", "")
            assert lab.storage.read(f"runs/{run.asset}/{state.execution}/model/weights/a.bin") == b"1,2\n"
        finally:
            server.kill()


def test_a_tree_is_counted_and_killed_whole() -> None:
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
    with subprocess.Popen([sys.executable, "-c", script], start_new_session=True) as root:
        until(lambda: len(tree(root.pid)) == 2, 5)
        assert memory_of_tree(root.pid) > memory_of_tree(root.pid, itself=False) > 1 << 20
        assert kill_tree(root.pid)
    assert tree(root.pid) == ()
