"""The tenant's OpenID Connect issuer, where it has one: whether it says by which keys it signs."""

from collections.abc import Iterator, Mapping

from functions._cli.doctor.checks import Check, fine, listed


def looks(values: Mapping[str, str]) -> Iterator[Check]:
    """Ask for its keys, as functions do. Raises UnavailableIssuer where it does not say which there are."""
    address = values.get("POLYGLOT_OIDC_ISSUER")
    if not address:
        return
    from functions._backends.issuer_keys import fetched

    keys = fetched(address)
    algorithms = sorted({name for key in keys for name in key.algorithms})
    yield fine(
        "issuer", f"{address} signs with {len(keys)} key{'' if len(keys) == 1 else 's'}: {listed(algorithms, 8)}"
    )
