"""What a client keeps of a registration: what the ledger said, once it agrees with the client's own digest."""

from typing import Any

from functions._cli.cache import keep_receipt
from functions._cli.client import Client
from functions._cli.failures import Failed
from functions._cli.output import say

RECEIPT_SCHEMA = "polyglot/receipt/v1"


def confirm(client: Client, asset: str, inventory_digest: str | None) -> dict[str, Any]:
    """Compare the ledger's inventory digest with our own (None where there is none), and keep the receipt.

    Raises:
        Failed: the ledger holds another digest than that of the files that were sent.
    """
    contract = client.get(f"/v1/assets/{asset}/contract")
    if inventory_digest is not None and contract["inventory_digest"] != inventory_digest:
        raise Failed(
            f"the ledger says that {asset} is {contract['inventory_digest']}, the files that were sent make "
            f"{inventory_digest}: do not use this asset, and tell the platform's operator"
        )
    receipt = {
        "schema": RECEIPT_SCHEMA,
        "asset": asset,
        "inventory_digest": contract["inventory_digest"],
        "record_digest": contract["record_digest"],
        "contract": contract["address"],
        "ledger": contract["ledger"],
        "chain_id": contract["chain_id"],
        "registered_at": contract["registered_at"],
    }
    say(f"receipt {keep_receipt(asset, receipt)}")
    return receipt


def tell_made(client: Client, asset: str) -> dict[str, Any]:
    """Tell what was made of an asset; a translation that is not equal is a warning. Returns the UUIDs."""
    answer = client.get(f"/v1/assets/{asset}")
    made = {key: answer[key] for key in ("trained_model", "translation") if answer.get(key)}
    if "trained_model" in made and made["trained_model"] != asset:
        say(f"trained model {made['trained_model']}")
    if "translation" in made:
        say(f"translation {made['translation']}")
        warn_where_unequal(client.get(f"/v1/assets/{made['translation']}"))
    return made


def warn_where_unequal(translation: dict[str, Any]) -> None:
    """Warn of a translation that does not compute the same."""
    if translation.get("verdict") == "not-equal":
        say(
            f"warning: the translation {translation['id']} does not compute the same as its model "
            f"(`polyglot show {translation['id']}` has the figures)"
        )
