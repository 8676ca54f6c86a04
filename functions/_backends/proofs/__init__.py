"""State proofs of the ledger (https://eips.ethereum.org/EIPS/eip-1186): made from a node, checked without one.

What is proven hangs together like this, from the hash of one block down::

    block hash ─ header ─ state root ─┬─ AssetLedger ─┬─ code: the implementations, the chain's id
                                      │               ├─ slot of an asset: its contract's address, time, kind, revoked
                                      │               └─ slot of a role's account: its signing key's digest
                                      ├─ EvidenceLog ─┬─ code: the ledger's address
                                      │               └─ slot of a statement: who, when, which verdict
                                      ├─ implementation of a kind ── code
                                      └─ asset's contract ── code: implementation and metadata

``making`` asks a node, ``proven`` checks; both stand on ``header``, ``trie``, ``accounts``, ``slots``, ``code`` and
``clone``. Checking needs the extra ``check``, making does not.
"""
