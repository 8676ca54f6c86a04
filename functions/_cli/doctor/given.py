"""What a namespace gives its functions: the ConfigMap, the bucket's credentials, each role's keys."""

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from functions._cli.doctor.checks import Check, fine, judged, listed, unknown, wrong
from functions._cli.doctor.ledger import Keys
from functions._cli.doctor.view import View
from functions._domain import cluster as names
from functions._domain.errors import RejectedForbidden
from functions._domain.ports import ROLES
from functions._runtime.deployer.prerequisites import secret
from functions._runtime.settings import SETTINGS
from functions._runtime.validation import key_problems, problems
from functions.declaration import FUNCTIONS, Function

Found = TypeVar("Found")
Contents = Mapping[str, str]


class Hidden(dict[str, str]):
    """What one may not look at."""


@dataclass(frozen=True)
class Given:
    """What is there, ``Hidden`` where one may not look, None where nothing is."""

    settings: Contents | None
    credentials: Contents | None
    erasing: Contents | None = None
    keys: Mapping[str, Contents | None] = field(default_factory=dict)

    @property
    def values(self) -> dict[str, str]:
        """The settings with the credentials, as functions have them in their environment."""
        return {**(self.settings or {}), **(self.credentials or {})}

    def values_of(self, function: Function) -> dict[str, str] | None:
        """What one function has there, None where its credentials are missing."""
        found = self.erasing if function.bucket_secret == names.S3_ERASE_SECRET else self.credentials
        return None if found is None else {**(self.settings or {}), **found, "POLYGLOT_KEYS": names.KEYS_FOLDER}

    @property
    def public(self) -> dict[str, Keys | None]:
        """The public halves of the roles' keys, None where one may not look or they are none."""
        return {role: _public(role, contents) for role, contents in self.keys.items()}


def given(view: View) -> Given:
    """Look at everything that functions are given."""
    return Given(
        _visible(lambda: _config_map(view)),
        _visible(lambda: secret(view, names.S3_SECRET)),
        _visible(lambda: secret(view, names.S3_ERASE_SECRET)),
        {role: _visible(lambda role=role: secret(view, names.key_secret(role))) for role in ROLES},  # type: ignore[misc]
    )


def looks(found: Given, broker_url: str, functions: Iterable[Function] = FUNCTIONS) -> Iterator[Check]:
    """Whether functions could start with it, and where they could not, why.

    Args:
        found: what is there.
        broker_url: where the namespace's Broker is, empty where it does not say.
        functions: whose settings.
    """
    yield from _settings(found, [function for function in functions if function.scope == "tenant"])
    yield from _names(found.settings or {}, broker_url)
    for role, contents in found.keys.items():
        yield _keys(role, contents)


def _settings(found: Given, functions: Iterable[Function]) -> Iterator[Check]:
    copy = "copy it from knative/settings.example.yaml and put your values in"
    if found.settings is None:
        yield wrong("settings", f"ConfigMap {names.SETTINGS} is not there", copy)
    if found.credentials is None:
        yield wrong("credentials", f"Secret {names.S3_SECRET} is not there", copy)
    if found.erasing is None:
        yield wrong("credentials of erase", f"Secret {names.S3_ERASE_SECRET} is not there", copy)
    parts = {"settings": found.settings, "credentials": found.credentials, "credentials of erase": found.erasing}
    for name in (name for name, part in parts.items() if isinstance(part, Hidden)):
        yield unknown(name, "not allowed to look", "run it as somebody who may")
    if found.settings and found.credentials is not None:
        given = [(function, found.values_of(function)) for function in functions]
        said = list(dict.fromkeys(text for function, values in given if values for text in problems(values, function)))
        remedy = "docs/settings.md says what each is" if said else ""
        yield judged("settings", "; ".join(said) or f"{len(found.settings)}, all of the right form", remedy)


def _names(settings: Contents, broker_url: str) -> Iterator[Check]:
    known = {one.name for one in SETTINGS}
    strange = [name for name in settings if name not in known and not name.startswith(("OTEL_", "AWS_"))]
    if strange:
        meant = {name: difflib.get_close_matches(name, known, 1) for name in strange}
        said = listed(f"{name} (is it {near[0]}?)" if near else name for name, near in meant.items())
        yield unknown("unknown settings", said, "no function reads them")
    named = settings.get("POLYGLOT_BROKER_URL", "").rstrip("/")
    if named and broker_url and named != broker_url.rstrip("/"):
        found = f"POLYGLOT_BROKER_URL is {named}, the Broker is at {broker_url}"
        yield wrong("broker address", found, "functions announce to somebody else: set it to the Broker's address")


def _keys(role: str, contents: Contents | None) -> Check:
    name = f"keys of {role}"
    if contents is None:
        return wrong(name, f"Secret {names.key_secret(role)} is not there", f"polyglot key create {role} --secret …")
    if isinstance(contents, Hidden):
        return unknown(name, f"not allowed to look at Secret {names.key_secret(role)}")
    said = list(key_problems(role, contents))
    if said:
        return wrong(name, "; ".join(said), f"polyglot key create {role} --secret … in the Secret's place")
    return fine(name, f"Secret {names.key_secret(role)} has both")


def _public(role: str, contents: Contents | None) -> Keys | None:
    if not contents or list(key_problems(role, contents)):
        return None
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    from functions._backends.keys import account_of, key_digest

    ledger, statement = (contents[name] for name in names.key_files(role))
    try:
        key = load_pem_private_key(statement.encode(), None).public_key()
    except ValueError:
        return None
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return Keys(account_of(bytes.fromhex(ledger.strip())), key_digest(pem))


def _config_map(view: View) -> Contents | None:
    found = view.get("v1", "ConfigMap", names.SETTINGS)
    return None if found is None else found.get("data") or {}


def _visible(look: Callable[[], Contents | None]) -> Contents | None:
    try:
        return look()
    except RejectedForbidden:
        return Hidden()
