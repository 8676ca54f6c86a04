"""Schemas: every stored document and every event says what it is, and in which version: ``polyglot/record/v1``.

A newer version of a name we know was written by a newer platform, and its word stands: whoever meets it waits to be
upgraded, and holds nothing against anybody. Everything else that is not what was expected is damage.

    >>> is_newer("polyglot/record/v2", "polyglot/record/v1"), is_newer("polyglot/receipt/v2", "polyglot/record/v1")
    (True, False)
"""

from functions._domain.errors import RejectedContent, UnavailableNewer


def require(found: object, known: str, what: str) -> None:
    """Raises unless a document has the schema that this version reads; ``what`` is for the message.

    Raises:
        UnavailableNewer: it has a later version of it.
        RejectedContent: it has another schema, or none.
    """
    if is_newer(found, known):
        raise newer(what, str(found))
    if found != known:
        raise RejectedContent(f"{what} has schema {found!r}, expected {known!r}")


def is_newer(found: object, known: str) -> bool:
    """Whether a schema, predicate type or event type (``…/v2``, ``….v2``) is a later version of a known one."""
    name, version = known[: known.rindex("v")], known[known.rindex("v") + 1 :]
    if not isinstance(found, str) or not found.startswith(name + "v"):
        return False
    other = found[len(name) + 1 :]
    return len(other) < 10 and other.isascii() and other.isdigit() and int(other) > int(version)


def newer(what: str, schema: str) -> UnavailableNewer:
    """The error for something that a newer platform wrote."""
    return UnavailableNewer(
        f"{what} was written by a newer version of this platform (schema {schema}); upgrade this one"
    )
