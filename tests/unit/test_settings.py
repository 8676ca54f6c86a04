"""Settings: every one is listed once, and a function with a wrong one does not start and says which."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from functions._backends import keys
from functions._domain import cluster
from functions._runtime import entry, settings
from functions._runtime.manifests import settings_page
from functions._runtime.validation import WrongSettings, key_problems, problems, validate
from functions.declaration import FUNCTIONS, Function, by_name

ROOT = Path(__file__).parents[2]
SECRET = "wJalrXUtnFEMI/K7MDENG secret"
GOOD = {
    **settings.CLUSTER,
    "POLYGLOT_LEDGER": "0x5FbDB2315678afecb367f032d93F642f64180aa3",
    "POLYGLOT_EVIDENCE_LOG": "0xe7f1725e7734ce288f8367e1bb143e90bb3f0512",
    "AWS_ACCESS_KEY_ID": "acme",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI",
    "POLYGLOT_OIDC_ISSUER": "https://login.example.org/realms/acme",
    "POLYGLOT_OIDC_AUDIENCE": "polyglot-acme",
    "POLYGLOT_FORWARD": "acme-models=acme@http://broker/acme/polyglot\nbee=bee@http://broker/bee/polyglot",
}
WRONG = {
    "POLYGLOT_TENANT": ["a b", "", "acme/prod", "-a"],
    "POLYGLOT_BUCKET": ["", "Acme", "ab", "a_b", "s3://acme"],
    "POLYGLOT_S3_URL": ["s3.example.org", "ftp://x", "http://", "http://x:port", "https://a b"],
    "POLYGLOT_S3_PUBLIC_URL": ["//s3.example.org"],
    "POLYGLOT_RPC_URL": ["", "evm:8545"],
    "POLYGLOT_CHAIN_ID": ["", "0x539", "-1", "0", "1337.0"],
    "POLYGLOT_LEDGER": ["", "0x123", f"0x{'0' * 40}", "5FbDB2315678afecb367f032d93F642f64180aa3", f"0x{'g' * 40}"],
    "POLYGLOT_EVIDENCE_LOG": ["", "evidence.eth"],
    "POLYGLOT_BROKER_URL": ["", "broker-ingress.knative-eventing"],
    "POLYGLOT_ENGINE": ["Argo", "kubeflow"],
    "POLYGLOT_TRAINING_DISK": ["10Gi", "0"],
    "POLYGLOT_OIDC_ISSUER": [
        "",
        "login.example.org",
        "http://login.example.org",
        "https://login.example.org?realm=acme",
    ],
    "POLYGLOT_OIDC_AUDIENCE": ["", "polyglot acme"],
    "POLYGLOT_OIDC_SUBJECT_CLAIM": ["a b", ".sub"],
    "POLYGLOT_OIDC_ROLES_CLAIM": ["roles."],
    "POLYGLOT_OIDC_ROLE_PREFIX": ["polyglot "],
    "POLYGLOT_FORWARD": ["", "acme", "a=b@http://x", "acme-models=acme@broker", "aaa=a@http://x,aaa=b@http://y"],
}
NO_ROLE = next(one for one in FUNCTIONS if one.name == "deploy")


def users(name: str) -> list[Function]:
    (setting,) = (one for one in settings.SETTINGS if one.name == name)
    return [function for function in FUNCTIONS if setting.used_by(function)]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
def test_a_clusters_example_with_real_values_is_right_for_every_function(function: Function) -> None:
    given = {**GOOD, "POLYGLOT_KEYS": cluster.KEYS_FOLDER} if function.role else GOOD
    assert list(problems(given, function)) == []


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_wrong_value_is_found_by_whoever_reads_it_and_by_nobody_else(name: str, value: str) -> None:
    given = {**GOOD, "POLYGLOT_KEYS": cluster.KEYS_FOLDER, name: value}
    reading = users(name)
    assert reading
    for function in FUNCTIONS:
        found = list(problems(given, function))
        assert [one.split()[0] for one in found] == ([name] if function in reading else []), function.name
        assert all(repr(value) in one or "is not set" in one for one in found)


def test_all_that_is_wrong_is_named_at_once_with_where_it_comes_from() -> None:
    given = {**GOOD, "POLYGLOT_LEDGER": "0x1", "POLYGLOT_RPC_URL": "", "AWS_ACCESS_KEY_ID": ""}
    with pytest.raises(WrongSettings) as caught:
        validate(given, NO_ROLE)
    first, *lines = str(caught.value).splitlines()
    assert first.startswith("deploy ")
    assert [line.split()[0] for line in lines] == ["POLYGLOT_RPC_URL", "POLYGLOT_LEDGER", "AWS_ACCESS_KEY_ID"]
    assert "(ConfigMap polyglot)" in lines[0]
    assert "is '0x1': expected a contract's address" in lines[1]
    assert "(Secret polyglot-s3)" in lines[2]


@pytest.mark.parametrize("value", [SECRET, f"{SECRET.replace(' ', '')}\n", "replace-me"])
def test_a_secrets_value_is_never_shown(value: str) -> None:
    (found,) = problems({**GOOD, "AWS_SECRET_ACCESS_KEY": value}, NO_ROLE)
    assert found.startswith(f"AWS_SECRET_ACCESS_KEY is {len(value)} characters: expected")
    assert value.strip() not in found.replace("not the example's", "")


def test_credentials_may_be_left_to_botocore() -> None:
    given = {name: value for name, value in GOOD.items() if not name.startswith("AWS_")}
    assert list(problems(given, NO_ROLE)) == []


def test_an_issuer_and_its_audience_come_together_or_not_at_all() -> None:
    register = by_name("register")
    pair = ("POLYGLOT_OIDC_ISSUER", "POLYGLOT_OIDC_AUDIENCE")
    neither = {name: value for name, value in GOOD.items() if name not in pair}
    assert list(problems(neither, register)) == []
    for name in pair:
        (found,) = problems({**neither, name: GOOD[name]}, register)
        assert "POLYGLOT_OIDC_AUDIENCE and POLYGLOT_OIDC_ISSUER come together or not at all (ConfigMap" in found


def test_the_process_engine_needs_the_embedded_platforms_folder_and_argo_does_not() -> None:
    train = by_name("train")
    assert list(problems({**GOOD, "POLYGLOT_ENGINE": "argo", "POLYGLOT_DATA": "relative"}, train)) == []
    for engine in ("process", ""):
        (found,) = problems({**GOOD, "POLYGLOT_ENGINE": engine}, train)
        assert found.startswith("POLYGLOT_DATA is not set")


def test_a_roles_key_files_are_looked_at_and_never_shown(tmp_path: Path) -> None:
    ingest = by_name("ingest")
    given = {**GOOD, "POLYGLOT_KEYS": str(tmp_path)}
    with pytest.raises(
        WrongSettings, match=r"registrar\.ledger\.key is not there(.|\n)*registrar\.statement\.pem is not"
    ):
        validate(given, ingest)
    keys.create("registrar", tmp_path)
    validate(given, ingest)
    ledger_key = tmp_path / "registrar.ledger.key"
    text = ledger_key.read_text()
    ledger_key.write_text(f"0x{text}")
    with pytest.raises(
        WrongSettings, match=r"registrar\.ledger\.key is 66 characters: .*Secret polyglot-key-registrar"
    ) as wrong:
        validate(given, ingest)
    assert text not in str(wrong.value)


def test_the_two_keys_in_each_others_place_are_found(tmp_path: Path) -> None:
    keys.create("trainer", tmp_path)
    ledger, statement = (tmp_path / name for name in cluster.key_files("trainer"))
    swapped = {ledger.name: statement.read_text(), statement.name: ledger.read_text()}
    assert len(list(key_problems("trainer", swapped))) == 2


def test_a_function_with_wrong_settings_is_not_loaded() -> None:
    with settings.bound({}), pytest.raises(WrongSettings, match="retrieve does not start"):
        entry.service("retrieve")
    with settings.bound({}), pytest.raises(AttributeError):
        entry.service("nonsense")


def test_a_process_with_wrong_settings_ends_at_once_and_its_last_words_name_them() -> None:
    source = str(Path(entry.__file__).with_name("main.py"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("POLYGLOT_", "AWS_"))}
    ended = subprocess.run(
        [sys.executable, "-m", "functions_framework", "--target", "deploy", "--source", source, "--port", "0"],
        env={**environment, **GOOD, "POLYGLOT_CHAIN_ID": "mainnet"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode != 0
    assert "POLYGLOT_CHAIN_ID is 'mainnet': expected a whole number above 0" in ended.stderr.strip().splitlines()[-1]


def test_looking_at_settings_loads_nothing_heavy() -> None:
    program = (
        "import sys; from functions._runtime import settings, validation;"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    loaded = set(
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    )
    assert not loaded & {"pydantic", "boto3", "botocore", "flask", "kubernetes", "yaml", "cryptography", "eth_keys"}


def test_every_setting_that_the_code_names_is_on_the_page() -> None:
    text = "".join(path.read_text() for path in (ROOT / "functions").rglob("*.py"))
    named = set(re.findall(r"POLYGLOT_[A-Z0-9_]*[A-Z0-9]", text)) - settings_page.INTERNAL
    listed = set(re.findall(r"^\| `([A-Z0-9_]+)`", settings_page.page(), re.MULTILINE))
    assert named <= listed
    assert set(settings.MEANING) <= listed


def test_the_committed_page_is_what_the_settings_say() -> None:
    assert (ROOT / "docs" / settings_page.PATH).read_text() == settings_page.page()


def test_no_setting_is_listed_twice_or_without_a_reader() -> None:
    names = [one.name for one in settings.SETTINGS]
    assert len(set(names)) == len(names)
    assert all(users(name) for name in names)
