"""Reading values out of Merkle-Patricia proofs (Ethereum Yellow Paper, appendix D).

The way is walked by ``trie`` (https://github.com/ethereum/py-trie), which takes nodes in any order and leaves alone
what it does not need. Here a proof has exactly the nodes on the way, from the root down: no two proofs say the same.
"""

from collections.abc import Sequence

from functions._backends.keccak import keccak
from functions._domain.errors import RejectedContent

EMPTY_ROOT = bytes.fromhex("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421")
"""The root of a trie without entries; its proofs have no nodes."""


class _Nodes(dict[bytes, bytes]):
    """Nodes by their digests; remembers which were read, in order."""

    def __init__(self, nodes: Sequence[bytes]) -> None:
        super().__init__((keccak(node), node) for node in nodes)
        self.read: list[bytes] = []

    def __getitem__(self, digest: bytes) -> bytes:
        node = super().__getitem__(digest)
        self.read.append(node)
        return node


def value_at(root: bytes, key: bytes, proof: Sequence[str], what: str, where: str) -> bytes | None:
    """The value of a key in the trie of this root, or None where the proof shows that there is none.

    Args:
        root: 32 bytes.
        key: as the trie's user knows it: an address, a slot; the trie has its Keccak-256.
        proof: the nodes from the root on, as lower-case hex digits after ``0x``.
        what: names the proof, for the message.
        where: names the root, for the message.

    Raises:
        RejectedContent: this is no proof of either.
    """
    from rlp.exceptions import RLPException
    from trie import HexaryTrie
    from trie import exceptions as theirs

    given = [unhex(node, what) for node in proof]
    if b"" in given:  # the library takes it for a blank one
        raise RejectedContent(f"{what} has a node without bytes")
    if root != EMPTY_ROOT and (not given or keccak(given[0]) != root):
        raise RejectedContent(f"{what} does not lead to {where}, 0x{root.hex()}")
    nodes = _Nodes(given)
    try:
        value: bytes = HexaryTrie(nodes, root).get(keccak(key))
    except theirs.MissingTrieNode as error:
        raise RejectedContent(f"{what} is not whole: a node below {where} is missing or altered") from error
    except (RLPException, theirs.InvalidNode, theirs.ValidationError, IndexError, TypeError, ValueError) as error:
        raise RejectedContent(f"{what} has a node that is none: {error}") from error
    if nodes.read != given:
        raise RejectedContent(f"{what} has nodes that are not on the way from {where}, or in another order")
    return value or None


def unhex(text: str, what: str) -> bytes:
    """The bytes of lower-case hex digits after ``0x``. Raises RejectedContent for anything else."""
    try:
        data = bytes.fromhex(text[2:])
    except ValueError:
        data = b""
    if text != "0x" + data.hex():
        raise RejectedContent(f"{what} is not written in lower-case hex digits after 0x: {text[:20]!r}")
    return data
