"""How a command ends: the four exit statuses of the contract, and the errors that lead to them.

    0  yes
    1  the check or the chain failed              ``Failed``
    2  wrong use, or a request that was refused   ``Rejected…``
    3  the platform is unavailable                ``Unavailable…``

130 is Ctrl-C.
"""

from collections.abc import Callable, Mapping

from functions._domain.errors import (
    PolyglotError,
    Rejected,
    RejectedConflict,
    RejectedForbidden,
    RejectedRequest,
    RejectedTooLarge,
    RejectedUnauthenticated,
    RejectedUnknown,
    Unavailable,
)

YES, NO, WRONG_USE, UNAVAILABLE, INTERRUPTED = 0, 1, 2, 3, 130


class Failed(PolyglotError):
    """A check or a chain failed: the answer to what was asked is no."""


def exit_status(error: PolyglotError) -> int:
    """The exit status that an error leads to."""
    if isinstance(error, Unavailable):
        return UNAVAILABLE
    return WRONG_USE if isinstance(error, Rejected) else NO


def refusal(status: int, problem: Mapping[str, object]) -> PolyglotError:
    """The error that an answer with this status and problem document (RFC 9457) stands for."""
    text = ": ".join(str(problem[key]) for key in ("title", "detail") if problem.get(key)) or f"HTTP {status}"
    kinds: dict[int, Callable[[str], PolyglotError]] = {
        401: RejectedUnauthenticated,
        403: RejectedForbidden,
        404: RejectedUnknown,
        413: RejectedTooLarge,
        422: RejectedConflict,
    }
    if status >= 500:
        trace = f" (trace {problem['trace_id']})" if problem.get("trace_id") else ""
        return Unavailable(f"the platform answered {status}: {text}{trace}")
    return kinds.get(status, RejectedRequest)(text)
