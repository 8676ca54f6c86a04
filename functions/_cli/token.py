"""``polyglot token``: bearer tokens. The first one of a tenant is written by who owns the bucket.

The bucket holds digests only (``functions._runtime.tokens``), so that whoever reads it cannot act as somebody else.
"""

import argparse
import os
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING

from functions._cli import options
from functions._cli.failures import YES
from functions._cli.output import result, say
from functions._domain.errors import RejectedRequest

if TYPE_CHECKING:
    from functions._domain.ports import Storage

ROLES = ("reader", "publisher", "operator")
EXAMPLES = [
    "export POLYGLOT_S3_URL=… POLYGLOT_BUCKET=… AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=…",
    "polyglot token create --role operator --subject alice@example.org",
]


def add(subparsers: "options.Subparsers[argparse.ArgumentParser]") -> None:
    """Add the command."""
    group = options.group(subparsers, "token", "bearer tokens")
    parser = options.command(group, "create", "make a token, with the bucket's own credentials", create, EXAMPLES)
    parser.add_argument("--role", required=True, choices=ROLES)
    parser.add_argument("--subject", required=True, metavar="NAME", help="who acts with it; the owner of what it makes")


def create(args: argparse.Namespace) -> int:
    """Make a token; it is shown this once."""
    from functions._backends.s3 import S3Storage

    token = made(S3Storage.from_settings(_bucket(os.environ)), args.role, args.subject)
    say(f"{args.subject} is {args.role} with this token; it is kept nowhere:")
    result(args, token, {"token": token, "role": args.role, "subject": args.subject})
    return YES


def made(storage: "Storage", role: str, subject: str) -> str:
    """A new token that a bucket's platform knows."""
    from functions._domain.digests import canonical, digest_of
    from functions._domain.paths import token_key
    from functions._runtime.tokens import TOKEN_SCHEMA

    if not subject.strip():
        raise RejectedRequest("--subject is empty: name who acts with this token")
    token = secrets.token_urlsafe(32)
    known = {"schema": TOKEN_SCHEMA, "subject": subject, "roles": [role]}
    storage.create(token_key(digest_of(token.encode())), canonical(known))
    return token


def _bucket(environment: Mapping[str, str]) -> Mapping[str, str]:
    if not environment.get("POLYGLOT_BUCKET"):
        raise RejectedRequest("POLYGLOT_BUCKET is not set: the tenant's bucket (and POLYGLOT_S3_URL, AWS_… beside it)")
    return environment
