"""A contract as a block's state has it: its code and some of its storage, read out of proofs.

An account is the RLP of nonce, balance, storage root and code hash, found in the state trie by its address; a slot's
value is the RLP of a number, found in the storage trie by its 32 bytes (Ethereum Yellow Paper, 4.1;
https://ethereum.github.io/yellowpaper/paper.pdf).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from functions._backends.keccak import checksummed, keccak
from functions._backends.proofs import trie
from functions._domain.bundles import AccountProof, SlotProof
from functions._domain.errors import RejectedContent

STATE = "the block's state root"


@dataclass(frozen=True)
class ProvenAccount:
    """A contract: its code, and its storage by slot; a slot that is proven to be empty has 0."""

    address: str
    code: bytes
    words: Mapping[bytes, int]

    @property
    def code_hash(self) -> str:
        """The Keccak-256 of the code, which the account's entry in the state has."""
        return "0x" + keccak(self.code).hex()

    def word(self, slot: bytes, what: str) -> int:
        """A slot's value; ``what`` it is, for the message. Raises RejectedContent where it is not proven."""
        if slot not in self.words:
            raise RejectedContent(f"{what} is not proven: slot 0x{slot.hex()} of {self.address} is not in the document")
        return self.words[slot]


def prove(account: AccountProof, state_root: bytes, name: str) -> ProvenAccount:
    """Check all that is said of a contract; ``name`` says in messages which it is.

    Raises:
        RejectedContent: an address not written as EIP-55 says, a proof that proves nothing, other code, slots twice or
            not in order.
    """
    address = trie.unhex(account.address.lower(), f"the address of {name}")
    if checksummed(address) != account.address:
        raise RejectedContent(f"the address of {name} is {account.address}, written right it is {checksummed(address)}")
    storage_root, code_hash = _entry(account, address, state_root, name)
    code = trie.unhex(account.code, f"the code of {name}")
    if keccak(code) != code_hash:
        raise RejectedContent(f"the code of {name} is not what the block has at {account.address}")
    slots = [slot.slot for slot in account.storage]
    if slots != sorted(set(slots)):
        raise RejectedContent(f"the slots of {name} are not each there once, in order")
    return ProvenAccount(account.address, code, dict(_word(slot, storage_root, name) for slot in account.storage))


def _entry(account: AccountProof, address: bytes, state_root: bytes, name: str) -> tuple[bytes, bytes]:
    """Storage root and code hash of an account."""
    import rlp
    from rlp.exceptions import RLPException

    value = trie.value_at(state_root, address, account.proof, f"the account proof of {name}", STATE)
    if value is None:
        raise RejectedContent(f"there is nothing at {account.address} in the block's state, expected {name}")
    try:
        nonce, balance, storage_root, code_hash = rlp.decode(value)
    except (RLPException, ValueError) as error:
        raise RejectedContent(f"the account of {name} is none: {error}") from error
    if len(storage_root) != 32 or len(code_hash) != 32 or nonce[:1] == b"\0" or balance[:1] == b"\0":
        raise RejectedContent(f"the account of {name} has not the form of one")
    return storage_root, code_hash


def _word(slot: SlotProof, storage_root: bytes, name: str) -> tuple[bytes, int]:
    import rlp
    from rlp.exceptions import RLPException

    what = f"the proof of slot {slot.slot} of {name}"
    key = trie.unhex(slot.slot, f"a slot of {name}")
    value = trie.value_at(storage_root, key, slot.proof, what, "the contract's storage root")
    if value is None:
        return key, 0
    try:
        number = rlp.decode(value)
    except RLPException as error:
        raise RejectedContent(f"{what} leads to no number: {error}") from error
    if not isinstance(number, bytes) or not 0 < len(number) <= 32 or number.startswith(b"\0"):
        raise RejectedContent(f"{what} leads to no number of 32 bytes")
    return key, int.from_bytes(number, "big")
