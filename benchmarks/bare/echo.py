"""What a hop is compared with: a functions-framework function that takes an event and knows nothing.

At ``/`` it answers 204, as a function does that has nothing to say; at ``/reply`` with an event of its own, as one that
has: what it got, under another type.
"""

import functions_framework
from flask import Request
from flask.typing import ResponseReturnValue

ECHOED = "io.polyglot.benchmark.echoed.v1"


@functions_framework.http  # type: ignore[untyped-decorator]
def echo(request: Request) -> ResponseReturnValue:
    """Nothing, or an event."""
    if request.path != "/reply":
        return "", 204
    said = {name: value for name, value in request.headers.items() if name.lower().startswith("ce-")}
    kind = {"Ce-Type": ECHOED, "Content-Type": "application/json"}
    return request.get_data(), 200, {**said, **kind}
