"""The history of role keys on the ledger: who holds a role after it."""

from collections.abc import Mapping, Sequence

from functions._domain.ports import Grant


def holders(grants: Sequence[Grant], role: str) -> Mapping[str, str]:
    """Who holds a role now: accounts with the digests of their signing keys, the latest appointed last."""
    held: dict[str, str] = {}
    for grant in grants:
        if grant.role == role:
            held.pop(grant.account, None)
            if grant.appointed:
                held[grant.account] = str(grant.signing_key_digest)
    return held
