"""``polyglot token``: API tokens, for whom no issuer names: scripts, gateways, a tenant's first operator.

One is made with the bucket's own credentials (the first of a tenant, or from a cluster's Secret), or over HTTP by an
operator. The bucket holds digests only (``functions._domain.tokens``), so that whoever reads it cannot act as somebody
else.
"""

import argparse
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from functions._cli import options
from functions._cli.failures import YES
from functions._cli.output import result, say
from functions._domain.errors import RejectedRequest

if TYPE_CHECKING:
    from functions._domain.ports import Storage
    from functions._domain.requests import TokenBody
    from functions._runtime.deployer.cluster import Cluster

ROLES = ("reader", "publisher", "operator")
NEVER = "never"
CREATE_EXAMPLES = [
    "export POLYGLOT_S3_URL=… POLYGLOT_BUCKET=… AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=…",
    "polyglot token create --role operator --subject alice@example.org           a tenant's first",
    "polyglot token create --role operator --subject alice@example.org --namespace acme",
    "polyglot token create --role reader --subject gateway-7 --expires 365d      by an operator, with POLYGLOT_TOKEN",
]
REVOKE_EXAMPLES = ["polyglot token list", "polyglot token revoke 6f0a3c52-5f0b-5b0e-9d8e-0f7a1c2b3d4e"]


def add(subparsers: "options.Subparsers[argparse.ArgumentParser]") -> None:
    """Add the commands."""
    group = options.group(subparsers, "token", "API tokens")
    parser = options.command(
        group, "create", "make a token, with the bucket's own credentials or as an operator", create, CREATE_EXAMPLES
    )
    parser.add_argument("--role", required=True, choices=ROLES)
    parser.add_argument("--subject", required=True, metavar="NAME", help="who acts with it; the owner of what it makes")
    parser.add_argument(
        "--expires", type=lifetime, default=90 * 86400, metavar="T", help="after which time: 30d, 12h, never; 90d"
    )
    parser.add_argument("--namespace", metavar="N", help="of a cluster: with the credentials that its functions have")
    parser.add_argument("--context", metavar="C", help="of the kubeconfig; its current one if not given")
    options.command(
        group, "list", "show every token, without itself", listed, ["polyglot token list", "polyglot token list --json"]
    )
    parser = options.command(group, "revoke", "have a token count no more", revoke, REVOKE_EXAMPLES)
    parser.add_argument("id", metavar="ID", type=options.asset, help="as `polyglot token list` shows it")


def lifetime(text: str) -> int | None:
    """For how many seconds a token counts; None for ever.

    >>> lifetime("90d"), lifetime("never")
    (7776000, None)
    """
    if text.strip().lower() == NEVER:
        return None
    try:
        return options.duration(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}, or {NEVER}") from None


def create(args: argparse.Namespace) -> int:
    """Make a token; it is shown this once."""
    body = _body(args.subject, args.role, args.expires)
    storage = _storage(args, os.environ)
    if storage is not None:
        made = kept(storage, body)
    else:
        made = options.connect(args).post("/v1/tokens", body.model_dump(mode="json"))
    until = f"until {made['expires']}" if made["expires"] else "for ever"
    say(f"{made['subject']} is {made['role']} with this token {until}; it is kept nowhere ({made['id']}):")
    result(args, made["token"], made)
    return YES


def _body(subject: str, role: str, seconds: int | None) -> "TokenBody":
    from pydantic import ValidationError

    from functions._domain.requests import TokenBody, readable

    try:
        return TokenBody.model_validate({"subject": subject, "role": role, "expires_in": seconds})
    except ValidationError as error:
        raise RejectedRequest(readable(error)) from error


def _storage(args: argparse.Namespace, environment: Mapping[str, str]) -> "Storage | None":
    """The bucket to make a token in; None where the platform is asked to.

    Raises:
        RejectedRequest: neither is known.
    """
    from functions._backends.s3 import S3Storage

    if args.namespace:
        from functions._runtime.deployer.cluster import KubernetesCluster

        cluster = KubernetesCluster.connected(args.namespace, args.context)
        return S3Storage.from_settings(settings_of(cluster, environment))
    if opens_bucket(args, environment):
        return S3Storage.from_settings(environment)
    if not (args.url or environment.get("POLYGLOT_URL")):
        raise RejectedRequest(
            "nothing to make a token with: set POLYGLOT_BUCKET with its credentials (POLYGLOT_S3_URL, AWS_…), or name "
            "a cluster's --namespace, or set POLYGLOT_URL with an operator's POLYGLOT_TOKEN"
        )
    return None


def opens_bucket(args: argparse.Namespace, environment: Mapping[str, str]) -> bool:
    """Whether the shell opens the bucket itself; where it has a token too, only with credentials in it as well."""
    if args.url or args.token or not environment.get("POLYGLOT_BUCKET"):
        return False
    return bool(environment.get("AWS_ACCESS_KEY_ID")) or not environment.get("POLYGLOT_TOKEN")


def settings_of(cluster: "Cluster", environment: Mapping[str, str]) -> dict[str, str]:
    """How to open the bucket of a namespace from here: an address for clients goes before that for functions.

    Raises:
        RejectedRequest: the namespace does not say.
    """
    from functions._domain import cluster as names
    from functions._runtime.deployer.prerequisites import secret

    found, credentials = cluster.get("v1", "ConfigMap", names.SETTINGS), secret(cluster, names.S3_SECRET)
    if found is None or credentials is None:
        missing = f"ConfigMap {names.SETTINGS}" if found is None else f"Secret {names.S3_SECRET}"
        raise RejectedRequest(f"{missing} is not there in {cluster.namespace}: docs/operations.md says how it is made")
    settings: dict[str, str] = {**(found.get("data") or {}), **credentials}
    ours, public = environment.get("POLYGLOT_S3_URL"), settings.get("POLYGLOT_S3_PUBLIC_URL")
    address = {"POLYGLOT_S3_URL": ours or public or settings.get("POLYGLOT_S3_URL", "")}
    return {name: value for name, value in {**settings, **address}.items() if value}


def kept(storage: "Storage", body: "TokenBody") -> dict[str, Any]:
    """Make a token known to a bucket's platform; what the HTTP interface would answer."""
    from functions._domain import tokens
    from functions._domain.answers import IssuedTokenAnswer
    from functions._domain.issuing import shown

    token = tokens.new()
    known = tokens.keep(storage, token, body.subject, body.role, datetime.now(UTC), body.expires_in)
    return IssuedTokenAnswer(**shown(known, None).model_dump(), token=token).model_dump(mode="json")


def listed(args: argparse.Namespace) -> int:
    """Show every token."""
    answer = options.connect(args).get("/v1/tokens")["tokens"]
    now = datetime.now(UTC)
    rows = [f"{one['id']}  {one['role']:<9}  {standing(one, now):<32}  {one['subject']}" for one in answer]
    result(args, "\n".join(rows), answer)
    return YES


def standing(token: Mapping[str, Any], now: datetime) -> str:
    """Whether a listed token counts, and until when."""
    if token["revoked"]:
        return f"revoked {token['revoked']['time']}"
    if not token["role"]:
        return "cannot be read, opens nothing"
    if not token["expires"]:
        return "never expires"
    return f"{'expired' if has_expired(token, now) else 'until'} {token['expires']}"


def has_expired(token: Mapping[str, Any], now: datetime) -> bool:
    """Whether a listed token's time is over."""
    return bool(token["expires"]) and now >= datetime.fromisoformat(token["expires"])


def revoke(args: argparse.Namespace) -> int:
    """Revoke a token, and say who can go on for how long."""
    from functions._runtime.tokens import TOKEN_SECONDS

    client = options.connect(args)
    others = [one for one in client.get("/v1/tokens")["tokens"] if one["id"] != args.id]
    answer = client.post(f"/v1/tokens/{args.id}/revoke")
    say(f"functions that saw it less than {TOKEN_SECONDS:.0f} s ago take it until then")
    if answer["role"] == "operator" and not any(counts_for(one, "operator", datetime.now(UTC)) for one in others):
        say("warning: no API token of an operator is left; whoever owns the bucket makes one: polyglot token create")
    text = f"revoked {args.id}, {answer['role']} {answer['subject']}, at {answer['revoked']['time']}"
    result(args, text, answer)
    return YES


def counts_for(token: Mapping[str, Any], role: str, now: datetime) -> bool:
    """Whether a listed token still gives a role."""
    return bool(token["role"] == role and not token["revoked"] and not has_expired(token, now))
