"""Issuing: what the HTTP interface does with API tokens: make, list, revoke. All of it is an operator's."""

from uuid import UUID

from functions._domain import answers, tokens
from functions._domain.calls import Call
from functions._domain.digests import digest_of
from functions._domain.errors import RejectedConflict
from functions._domain.identity import request_id
from functions._domain.journal import stamp
from functions._domain.ports import Ports
from functions._domain.tokens import Revocation, Token

ROUTE = "tokens"


def create_token(call: Call, ports: Ports) -> answers.IssuedTokenAnswer:
    """Make an API token. A key that made one before is refused, since nobody can show that one again."""
    token, body, by = tokens.new(), call.body, call.principal.subject
    if call.key is not None:
        _require_first(ports, request_id(ports.tenant, by, ROUTE, call.key), tokens.identify(digest_of(token.encode())))
    made = tokens.keep(ports.storage, token, body.subject, body.role, ports.now(), body.expires_in, by)
    return answers.IssuedTokenAnswer(**shown(made, None).model_dump(), token=token)


def _require_first(ports: Ports, request: UUID, identifier: UUID) -> None:
    made = tokens.claim(ports.storage, request, identifier)
    if made != identifier:
        raise RejectedConflict(
            f"this Idempotency-Key made token {made} before, which cannot be shown again: if its answer was lost, "
            f"revoke it (polyglot token revoke {made}) and use a new key"
        )


def list_tokens(call: Call, ports: Ports) -> answers.TokenList:
    """Every API token, without itself."""
    return answers.TokenList(tokens=[shown(*one) for one in tokens.everything(ports.storage)])


def revoke_token(call: Call, ports: Ports) -> answers.TokenAnswer:
    """Have an API token count no more; done already is success, and who did it first stays."""
    return shown(*tokens.revoke(ports.storage, call.id, call.principal.subject, ports.now()))


def shown(token: Token, revoked: Revocation | None) -> answers.TokenAnswer:
    """What may be said of a token."""
    return answers.TokenAnswer(
        id=token.id,
        subject=token.subject,
        role=", ".join(sorted(token.roles)),
        created=token.created,
        expires=None if token.expires is None else stamp(token.expires),
        by=token.by,
        revoked=answers.TokenRevokedAnswer(by=revoked.by, time=revoked.time) if revoked else None,
    )
