"""Log lines: each is one JSON object that tells of its step, and none tells a secret."""

import io
import json
import logging
import re
import string
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions._backends.cloudevents import from_http, to_http
from functions._backends.s3 import S3Storage
from functions._domain.errors import Rejected, RejectedUnknown, Unavailable, UnavailableYet
from functions._domain.events import Event
from functions._runtime.telemetry import logs, steps
from functions._runtime.telemetry.logs import JsonFormatter
from functions._runtime.telemetry.redaction import redacted, secrets_of
from functions._runtime.telemetry.steps import Measured, Step, Steps, measure
from tests.functions_server import serving

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
EVENT = Event("asset.submitted", UUID(int=7), "event-1", {}, {"schema": "s", "request": str(UUID(int=9))})
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def line(message: str, *arguments: object, error: BaseException | None = None, secrets: tuple[str, ...] = ()) -> str:
    info = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord("a.logger", logging.WARNING, __file__, 1, message, arguments, info)
    return JsonFormatter({"service": "ingest"}, secrets).format(record)


class Told(logging.Handler):
    """Keeps lines as a container would print them."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, Any]] = []
        self.setFormatter(JsonFormatter({"service": "unset", "revision": "ingest-00001"}))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(self.format(record)))


@pytest.fixture
def told() -> Iterator[Told]:
    """What our own loggers say, from debug on."""
    handler, logger = Told(), logging.getLogger("polyglot")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(before)


# One object a line


@given(st.text())
def test_a_line_is_one_json_object_whatever_is_said(text: str) -> None:
    found = line("%s", text, error=ValueError(text))
    assert "\n" not in found
    assert found.isascii()
    said = json.loads(found)
    assert said["message"] == redacted(text) if text else "message" not in said
    assert said["exception"].startswith("ValueError")
    assert TIME.fullmatch(said["time"])
    assert (said["severity"], said["logger"], said["service"]) == ("WARNING", "a.logger", "ingest")


@given(st.integers(0, 2**20), st.sampled_from("x.:/@\n\0é😀"))
@settings(deadline=None)
def test_no_line_is_longer_than_what_a_container_runtime_passes_on(length: int, character: str) -> None:
    found = line(character * length, error=ValueError(character * length))
    assert len(found) < 16 * 1024


def test_a_long_traceback_keeps_its_end_where_the_error_is_named() -> None:
    found = json.loads(line("m", error=ValueError(f"{'y' * 20_000} the end")))
    assert found["exception"].endswith("the end")


# No secrets

tokens = st.text(string.ascii_letters + string.digits + "-_", min_size=20, max_size=60)
texts = st.text(string.ascii_letters + " .,:/'\"\n", max_size=40)


@given(texts, tokens, texts, st.sampled_from(["Bearer {}", "Authorization: {}", "{{'Authorization': '{}'}}"]))
def test_a_token_is_not_told(before: str, token: str, after: str, form: str) -> None:
    text = f"{before} {form.format(token)} {after}"
    found = line("%s", text, error=ValueError(text))
    assert token not in found
    assert json.loads(found)["message"].startswith(redacted(before))


@given(tokens, texts)
def test_what_is_known_to_be_secret_is_not_told_in_any_form(secret: str, text: str) -> None:
    known = secrets_of({"AWS_SECRET_ACCESS_KEY": secret, "POLYGLOT_TENANT": "acme"})
    assert known == (secret,)
    assert secret not in line("%s", f"{text}{secret}{text}", error=ValueError(secret), secrets=known)


def test_a_short_word_is_not_taken_for_a_secret() -> None:
    assert secrets_of({"AWS_SECRET_ACCESS_KEY": "polyglot", "POLYGLOT_TOKEN": ""}) == ()


@pytest.mark.parametrize("which", ["presign_get", "presign_put"])
def test_a_presigned_url_cannot_be_used_by_who_reads_the_log(which: str) -> None:
    values = {
        "POLYGLOT_S3_URL": "http://127.0.0.1:9", "POLYGLOT_BUCKET": "acme-models",
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    }  # fmt: skip
    url = getattr(S3Storage.from_settings(values), which)("assets/7/files/model.pt2").url
    signature = re.search(r"X-Amz-Signature=([0-9a-f]{64})", url)
    assert signature
    said = json.loads(line("refused: %s", url, error=ValueError(f"HTTPConnectionPool: {url} (Caused by …)")))
    assert signature[1] not in json.dumps(said)
    assert "AKIDEXAMPLE" not in json.dumps(said)
    assert "assets/7/files/model.pt2" in said["message"]


def test_passwords_in_addresses_and_private_keys_are_not_told() -> None:
    key = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----"
    assert redacted("no answer from https://user:pass@evm.example.org:8545/rpc") == (
        "no answer from https://…@evm.example.org:8545/rpc"
    )
    assert redacted(f"cannot load {key} for trainer") == "cannot load … for trainer"


def test_an_ordinary_sentence_stays_as_it_is() -> None:
    for sentence in ("a bearer token is needed", "basic training of sha256:7f, see https://example.org/a?b=c#d@e"):
        assert redacted(sentence) == sentence


# Steps


def rejects() -> None:
    raise RejectedUnknown("there is no asset 7")


def told_of(told: Told, act: Callable[[Step], object], method: str = "POST", **headers: str) -> dict[str, Any]:
    with Steps("translate-torch", "translate", "acme").begin(method, "/", headers) as step:
        act(step)
    return told.lines[-1]


def test_a_step_tells_all_that_was_learned_of_it(told: Told) -> None:
    def act(step: Step) -> None:
        step.carries(from_http(*to_http(EVENT, "/s")))
        step.status, step.has_reply = 200, True

    found = told_of(told, act, traceparent=PARENT)
    assert found["trace_id"] == PARENT[3:35]
    assert found["span_id"] != PARENT[36:52]
    assert found["duration_ms"] >= 0
    expected = {
        "severity": "INFO", "logger": "polyglot.steps", "service": "translate-torch", "revision": "ingest-00001",
        "tenant": "acme", "step": "translate", "event": "io.polyglot.asset.submitted.v1", "event_id": "event-1",
        "subject": str(UUID(int=7)), "request": str(UUID(int=9)), "outcome": "replied", "status": 200,
        "message": f"translate replied asset.submitted of {UUID(int=7)}",
    }  # fmt: skip
    assert {name: found.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("status", "error", "outcome", "severity"),
    [
        (204, None, "done", "INFO"),
        (400, Rejected("no"), "rejected", "WARNING"),
        (503, Unavailable("not now"), "unavailable", "WARNING"),
        (503, UnavailableYet("on its way"), "unavailable", "INFO"),
        (500, KeyError("x"), "failed", "ERROR"),
    ],
)
def test_a_step_says_how_it_ended(
    told: Told, status: int, error: Exception | None, outcome: str, severity: str
) -> None:
    def act(step: Step) -> None:
        step.event, step.status = "asset.submitted", status
        if error:
            step.fails(error)

    found = told_of(told, act)
    assert (found["outcome"], found["severity"]) == (outcome, severity)
    assert found["message"] == f"translate {outcome} asset.submitted" + (f": {error}" if error else "")
    assert ("exception" in found) is (outcome == "failed")


def test_a_read_is_told_at_debug_and_a_write_at_info(told: Told) -> None:
    def act(step: Step) -> None:
        step.route, step.status = "any /v1/assets", 200

    assert [told_of(told, act, method)["severity"] for method in ("GET", "HEAD", "POST")] == ["DEBUG", "DEBUG", "INFO"]


def test_a_step_that_is_torn_down_is_told_too(told: Told) -> None:
    with pytest.raises(SystemExit), Steps("ingest", "ingest", "acme").begin("POST", "/", {}):
        sys.exit(1)
    assert (told.lines[-1]["outcome"], told.lines[-1]["severity"]) == ("failed", "ERROR")


def test_whatever_is_logged_in_a_step_has_its_trace(told: Told) -> None:
    found = told_of(told, lambda _: logging.getLogger("polyglot.library").warning("hm"), traceparent=PARENT)
    inside, own = told.lines
    assert own is found
    assert (inside["message"], inside["service"]) == ("hm", "translate-torch")
    assert {inside["trace_id"], own["trace_id"]} == {PARENT[3:35]}
    assert inside["span_id"] == own["span_id"]
    assert "outcome" not in inside
    assert steps.current() is None


def test_what_a_step_measures_is_told_with_it(told: Told) -> None:
    found = told_of(told, lambda _: measure(Measured("polyglot.open_chains", 3, "{chain}", {"state": "waiting"})))
    assert found["measured"] == {"polyglot.open_chains/waiting": 3}
    measure(Measured("nobody.listens", 1, "1"))


# The process


def test_nothing_is_set_up_where_no_setting_asks_for_it() -> None:
    root = logging.getLogger()
    before = (list(root.handlers), root.level, sys.excepthook, logging.getLogger("polyglot").level)
    logs.configure({}, "ingest")
    logs.configure({"POLYGLOT_LOG_FORMAT": "text"}, "ingest")
    assert (list(root.handlers), root.level, sys.excepthook, logging.getLogger("polyglot").level) == before


def test_a_text_line_goes_to_whom_the_process_logs_already() -> None:
    root, ours = logging.getLogger(), logging.getLogger("polyglot")
    before, level = list(root.handlers), ours.level
    assert before, "pytest listens"
    try:
        logs.configure({"POLYGLOT_LOG_LEVEL": "DEBUG"}, "ingest")
        assert (list(root.handlers), ours.level) == (before, logging.DEBUG)
    finally:
        for name in logs.OURS:
            logging.getLogger(name).setLevel(level)


def test_a_function_in_a_container_says_json_only() -> None:
    with serving("retrieve", POLYGLOT_LOG_FORMAT="json", POLYGLOT_LOG_LEVEL="DEBUG") as here:
        token = "a-token-that-nobody-else-may-see"
        status, problem = here.get("/v1/assets", Authorization=f"Bearer {token}", Traceparent=PARENT)
        assert status == 503
    found = [json.loads(row) for row in here.printed.splitlines()]
    assert all(TIME.fullmatch(row["time"]) and row["service"] == "retrieve" for row in found)
    *_, read, failed = (row for row in found if row["logger"] == "polyglot.steps")
    assert (read["route"], read["severity"], read["outcome"]) == ("GET /v1/openapi.json", "DEBUG", "done")
    assert (failed["route"], failed["outcome"], failed["tenant"]) == ("GET /v1/assets", "unavailable", "acme")
    assert problem["trace_id"] == failed["trace_id"] == PARENT[3:35]
    assert token not in here.printed


SPOKEN = """\
import logging, threading, warnings
from functions._runtime.telemetry import logs
logs.configure({"POLYGLOT_LOG_FORMAT": "json"}, "ingest")
from gunicorn.config import Config
from gunicorn.glogging import Logger
Logger(Config()).error("Worker was sent %s!", "SIGKILL")
logging.getLogger("werkzeug").error("from the framework")
logging.getLogger("botocore.auth").debug("Authorization of others")
warnings.warn("old")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
raise KeyError("at last")
"""


def test_servers_libraries_warnings_and_uncaught_errors_speak_json_too() -> None:
    ended = subprocess.run([sys.executable, "-c", SPOKEN], capture_output=True, text=True, check=False)
    found = [json.loads(row) for row in ended.stderr.splitlines()]
    assert [(row["logger"], row["severity"]) for row in found] == [
        ("gunicorn.error", "ERROR"), ("werkzeug", "ERROR"), ("py.warnings", "WARNING"),
        ("polyglot.logs", "CRITICAL"), ("polyglot.logs", "CRITICAL"),
    ]  # fmt: skip
    assert [row["message"].splitlines()[0] for row in found if row["logger"] != "py.warnings"] == [
        "Worker was sent SIGKILL!", "from the framework", "ZeroDivisionError: division by zero", "KeyError: 'at last'",
    ]  # fmt: skip
    assert (ended.returncode, ended.stdout) == (1, "")


def test_a_function_that_does_not_start_says_why_in_one_line() -> None:
    with serving("retrieve", POLYGLOT_LOG_FORMAT="json", POLYGLOT_CHAIN_ID="none") as here:
        here.ended()
    said = [json.loads(row) for row in here.printed.splitlines()]
    assert [row["severity"] for row in said] == ["CRITICAL"]
    assert "POLYGLOT_CHAIN_ID" in said[0]["message"]
    assert "WrongSettings" in said[0]["exception"]


def test_the_formatter_needs_no_terminal() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    handler.handle(logging.LogRecord("x", logging.INFO, "", 0, "one\ntwo", (), None))
    assert json.loads(stream.getvalue())["message"] == "one\ntwo"
    assert stream.getvalue().count("\n") == 1
