"""The parts of the cluster's benchmarks that need no cluster: what is compared with what, and what is sent."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from uuid import UUID

import pytest
from functions_framework import create_app

from benchmarks.cluster import beside, broker, chains, hops, images
from benchmarks.cluster.line import Line
from benchmarks.cluster.results import added, written
from functions._runtime.manifests import services
from functions.declaration import by_name, subscriptions

ENDED = {kind: UUID(int=place) for place, kind in enumerate(("dataset", "model", "trained-model", "translation"), 1)}
ECHO = Path(beside.BARE, "echo.py")


def test_what_is_compared_differs_in_its_code_only() -> None:
    ours = services.service(by_name("register"), "register")
    other = beside.like(ours, "bare", beside.framework("bare", "main.py"), "plain@sha256:1")
    pod, its = ours["spec"]["template"], other["spec"]["template"]
    assert its["metadata"] == pod["metadata"]
    mine, theirs = pod["spec"]["containers"][0], its["spec"]["containers"][0]
    assert {name for name in theirs if theirs[name] != mine.get(name)} == {
        "image", "env", "volumeMounts", "command",
    }  # fmt: skip
    assert {name for name in its["spec"] if its["spec"][name] != pod["spec"][name]} == {"containers", "volumes"}
    assert {"name": "THREADS", "value": "33"} in theirs["env"]
    assert {"name": "FUNCTION_TARGET", "value": "bare"} in theirs["env"]
    assert ours == services.service(by_name("register"), "register"), "ours is not changed by it"


def test_all_code_that_a_service_is_given_is_in_the_config_map() -> None:
    assert set(beside.code()["data"]) == set(beside.FILES)


@pytest.mark.parametrize("hop", hops.of(ENDED), ids=lambda hop: hop.service)
def test_an_event_that_is_posted_again_is_one_that_a_trigger_would_deliver(hop: hops.Hop) -> None:
    said = {"type": hop.event.type, **hop.event.attributes}
    taken = [one for one in subscriptions() if one.service == hop.service and one.filter.items() <= said.items()]
    assert len(taken) == 1
    assert not hop.reply or hop.reply in taken[0].function.produces


def test_a_reply_in_a_benchmarks_broker_drives_no_function_on() -> None:
    asked = [hop for hop in hops.of(ENDED) if hop.reply]
    found = [one["spec"] for one in broker._eventing(asked, "http://listener") if one["kind"] == "Trigger"]
    for hop in asked:
        reply = f"io.polyglot.{hop.reply}.v1"
        takers = [
            one["subscriber"]
            for one in found
            if one["broker"] == f"benchmark-{hop.service}" and one["filter"]["attributes"]["type"] == reply
        ]
        assert takers == [{"uri": "http://listener"}]


def test_the_echo_answers_nothing_or_an_event_of_its_own() -> None:
    client = create_app("echo", str(ECHO)).test_client()
    headers, body = hops.of(ENDED)[0].sent
    assert client.post("/", data=body, headers=dict(headers)).status_code == 204
    answer = client.post("/reply", data=body, headers=dict(headers))
    assert (answer.status_code, answer.data) == (200, body)
    assert answer.headers["ce-type"] == broker.ECHOED
    assert answer.headers["ce-subject"] == str(ENDED["dataset"])


def test_a_difference_is_measured_between_medians() -> None:
    row = added("hop", [0.005, 0.006, 1.0], [0.002, 0.001, 0.003], 0.0041, "note")
    assert (row.ours, row.theirs, row.ratio, row.met) == ("6.0 ms", "2.0 ms", "+4.0 ms", True)
    assert added("hop", [0.006], [0.002], 0.0039, "").met is False
    assert added("hop", [0.001], [0.002], None, "").ratio == "−1.0 ms"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.00525, "5.2 ms"), (0.42, "420 ms"), (0.9996, "1.00 s"), (2.5, "2.50 s"), (699.04, "699 s")]
)
def test_a_time_is_written_in_the_unit_that_fits(seconds: float, text: str) -> None:
    assert written(seconds) == text


def test_the_middle_of_all_ends_is_none_that_is_missing() -> None:
    assert chains._median([3.0, 1.0, 2.0], 3) == 2.0
    assert chains._median([1.0], 50) == 1.0
    assert chains._median([], 50) == 0.0


def test_an_image_is_counted_as_a_layer_holds_it(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "one").write_bytes(b"x")
    (tmp_path / "empty").touch()
    (tmp_path / "link").symlink_to("empty")
    (tmp_path / "again").hardlink_to(tmp_path / "folder" / "one")
    script = images.COUNT.replace("/opt/polyglot", str(tmp_path))
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert int(said) == 6 * 512 + 512


class _Greeting(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        said = self.headers["Host"].encode()
        self.send_response(404 if self.path == "/missing" else 200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def ingress() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Greeting)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_ingress_is_told_which_service_is_meant(ingress: str) -> None:
    line = Line(ingress, "register.acme.example.org")
    answer = line.ask("GET", "/")
    assert (answer.status, answer.body) == (200, b"register.acme.example.org")
    assert 0 < answer.seconds < 5
    line.close()


def test_an_answer_that_is_none_is_no_measurement(ingress: str) -> None:
    line = Line(ingress, "register.acme.example.org")
    with pytest.raises(RuntimeError, match="answered 404"):
        line.ask("GET", "/missing")
    line.close()
