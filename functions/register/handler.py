"""`register` accepts what is asked over HTTP: each route of its declaration is one name here."""

from functions import declaration
from functions._domain import submissions
from functions._domain.answers import Accepted
from functions._domain.calls import Call
from functions._domain.issuing import create_token, list_tokens, revoke_token
from functions._domain.ports import Ports
from functions._domain.submissions import (
    add_files,
    cancel,
    complete_files,
    import_model,
    open_upload,
    push_image,
    register_dataset,
    register_model,
    retry,
)
from functions._domain.withdrawing import clear_away, erase, revoke

__all__ = [
    "add_files",
    "cancel",
    "clear_away",
    "complete_files",
    "create_token",
    "erase",
    "import_model",
    "list_tokens",
    "open_upload",
    "push_image",
    "register_dataset",
    "register_model",
    "request_translation",
    "request_verification",
    "retry",
    "revoke",
    "revoke_token",
]


def request_translation(call: Call, ports: Ports) -> Accepted:
    """Ask for a translation that some declared variant makes."""
    return submissions.request_translation(call, ports, declaration.translates)


def request_verification(call: Call, ports: Ports) -> Accepted:
    """Ask for claims to be verified, equivalence where some declared variant measures it."""
    return submissions.request_verification(call, ports, declaration.measures)
