"""Validation: looks at a function's settings before it takes its first request, and asks nobody.

A wrong setting ends the start with its name, not a step in the middle; all of them are named at once. It costs well
under a millisecond, since every cold start pays for it.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from functions._domain import cluster
from functions._domain.errors import PolyglotError
from functions._runtime.forms import LEDGER_KEY, STATEMENT_KEY, Form
from functions._runtime.settings import SETTINGS, Setting, source_of
from functions.declaration import Function


class WrongSettings(PolyglotError):
    """Settings with which a function cannot work; the message names each, what was found, and what was expected."""


def validate(values: Mapping[str, str], function: Function) -> None:
    """Look at everything a function is given before it takes a request, its key files too; asks nobody.

    Raises:
        WrongSettings: names every setting that is wrong, with what was found and where it comes from.
    """
    found = list(problems(values, function))
    if function.role and values.get("POLYGLOT_KEYS"):
        contents = {name: _text(Path(values["POLYGLOT_KEYS"], name)) for name in cluster.key_files(function.role)}
        found += key_problems(function.role, contents)
    if found:
        raise WrongSettings(f"{function.name} does not start with these settings:\n  " + "\n  ".join(found))


def problems(values: Mapping[str, str], function: Function) -> Iterator[str]:
    """What is wrong with the settings that a function uses, one sentence each; key files are not looked at."""
    for setting in SETTINGS:
        if setting.used_by(function) and _counts(values, setting):
            value = values.get(setting.name, "")
            if value and not setting.form.fits(value):
                yield _wrong(setting.name, value, setting.form, source_of(setting, function))
            elif not (value or setting.default or setting.optional):
                yield f"{setting.name} is not set: {setting.meaning} ({setting.source})"
    for setting in SETTINGS:
        if setting.used_by(function) and values.get(setting.beside) and not values.get(setting.name):
            together = f"{' and '.join(sorted((setting.name, setting.beside)))} come together or not at all"
            yield f"{setting.name} is not set: {together} ({source_of(setting, function)})"


def key_problems(role: str, contents: Mapping[str, str | None]) -> Iterator[str]:
    """What is wrong with a role's two key files, by their names; their content is never shown."""
    forms = dict(zip(cluster.key_files(role), (LEDGER_KEY, STATEMENT_KEY), strict=True))
    for name, form in forms.items():
        text = contents.get(name)
        if text is None:
            yield f"{name} is not there: expected {form.expected} (Secret {cluster.key_secret(role)})"
        elif not form.fits(text):
            yield _wrong(name, text, form, f"Secret {cluster.key_secret(role)}")


def _counts(values: Mapping[str, str], setting: Setting) -> bool:
    if setting.only_with is None:
        return True
    name, value = setting.only_with
    default = next(one.default for one in SETTINGS if one.name == name)
    return (values.get(name) or default) == value


def _wrong(name: str, value: str, form: Form, source: str) -> str:
    shown = f"{len(value)} characters" if form.is_secret else repr(value)
    return f"{name} is {shown}: expected {form.expected} ({source})"


def _text(path: Path) -> str | None:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return None
