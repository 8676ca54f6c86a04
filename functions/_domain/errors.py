"""What can go wrong, as one tree; whether to try again is decided by its two branches.

    PolyglotError
    ├── Rejected                permanent: the same request will fail again (4xx, never retried)
    │   ├── RejectedRequest         400  not understood: shape, type, range
    │   ├── RejectedUnauthenticated 401  no token
    │   │   └── RejectedToken                one that opens nothing: unknown, expired, revoked, badly signed
    │   ├── RejectedForbidden       403  not the owner
    │   │   └── RejectedRole                 a token without the role
    │   ├── RejectedUnknown         404  no such thing (an event function answers 400 instead)
    │   ├── RejectedTooLarge        413  above a stated bound
    │   ├── RejectedConflict        422  at odds with what is already registered or asked
    │   │   └── RejectedSigner           the ledger does not take this key's word (any more)
    │   └── RejectedContent         422  bytes that are not what was said, or not allowed
    └── Unavailable             transient: ask again (503, retried by the broker, then by the sweep)
        ├── UnavailableStorage
        ├── UnavailableLedger
        ├── UnavailableEngine
        ├── UnavailableIssuer       whose tokens cannot be checked without it
        ├── UnavailableYet          something that this step needs is still on its way
        └── UnavailableNewer        a newer version of this platform wrote it: an upgrade of this one cures it

The numbers stand in one table, ``functions._runtime.http.STATUS``.
"""


class PolyglotError(Exception):
    """The root. ``str(error)`` is for a person: what was expected, what was found, what to do."""


class Rejected(PolyglotError):
    """Permanent: the same request will fail again."""


class RejectedRequest(Rejected):
    """Not understood: a wrong shape, type or range.

    An event that does not fit what is stored is one too. Anybody may have sent it, so it never leaves a mark.
    """


class RejectedUnauthenticated(Rejected):
    """No token, or one that opens nothing."""


class RejectedToken(RejectedUnauthenticated):
    """A token that opens nothing: unknown, expired, revoked, or not signed by whom we believe."""


class RejectedForbidden(Rejected):
    """The token's role does not allow this, or the asset belongs to somebody else."""


class RejectedRole(RejectedForbidden):
    """The token's role does not allow this; ``needed`` is the least one that does."""

    def __init__(self, message: str, needed: str) -> None:
        super().__init__(message)
        self.needed = needed


class RejectedUnknown(Rejected):
    """There is no such asset, request or file."""


class RejectedTooLarge(Rejected):
    """Above a bound that the message names."""


class RejectedConflict(Rejected):
    """At odds with what is already registered or asked."""


class RejectedSigner(RejectedConflict):
    """The ledger does not take this key's word: its role has ended, or never began."""


class RejectedContent(Rejected):
    """Bytes that are not what was said, or that are not allowed."""


class Unavailable(PolyglotError):
    """Transient: the same request may succeed later."""


class UnavailableStorage(Unavailable):
    """The object store does not answer, or refused for a reason that passes."""


class UnavailableLedger(Unavailable):
    """The EVM node does not answer, or a transaction is still pending."""


class UnavailableEngine(Unavailable):
    """The training engine does not answer."""


class UnavailableIssuer(Unavailable):
    """The tenant's issuer does not say by which keys it signs."""


class UnavailableYet(Unavailable):
    """Something that this step needs is still on its way."""


class UnavailableNewer(Unavailable):
    """A newer version of this platform wrote it; only an upgrade of this one can tell what it says."""
