"""`retrieve` reads: each route of its declaration is one name here."""

from functions._domain.reading import (
    get_asset,
    get_contract,
    get_evidence,
    get_file,
    get_lineage,
    get_logs,
    get_request,
    get_status,
    list_assets,
)

__all__ = [
    "get_asset",
    "get_contract",
    "get_evidence",
    "get_file",
    "get_lineage",
    "get_logs",
    "get_request",
    "get_status",
    "list_assets",
]
