"""The admin's side of the ledger: deploys the platform's contracts and appoints roles. Run off the cluster.

The tenant's admin key deploys at fixed nonces 0 to 5, so the contracts are found again by address and code, and doing
it twice does nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from eth_abi.abi import encode

from functions._backends.ethereum import EthereumLedger, Rpc, call_data, interface, legacy_transaction, results
from functions._backends.keccak import checksummed, keccak
from functions._backends.keys import account_of
from functions._backends.proofs import code
from functions._backends.proofs.slots import role_id
from functions._domain.digests import bytes_of
from functions._domain.errors import RejectedConflict, UnavailableLedger
from functions._domain.grants import holders

DEPLOY_GAS = 8_000_000


@dataclass(frozen=True)
class Addresses:
    """Where the tenant's contracts are."""

    chain_id: int
    ledger: str
    evidence_log: str


def contract_address(deployer: str, nonce: int) -> str:
    """The address of the contract that a deployer's transaction with this nonce creates."""
    import rlp

    return checksummed(keccak(rlp.encode([bytes.fromhex(deployer[2:]), nonce]))[12:])


class LedgerAdmin:
    """Acts with the tenant's admin key."""

    def __init__(self, rpc_url: str, admin_key: bytes) -> None:
        self._url, self._rpc, self._key = rpc_url, Rpc(rpc_url), admin_key
        self.account = account_of(admin_key)

    def initialize(self) -> Addresses:
        """Deploy what is missing of the platform's contracts; returns where all are.

        Raises:
            RejectedConflict: something else stands at one of their addresses.
        """
        chain_id = int(self._rpc("eth_chainId"), 16)
        addresses = [contract_address(self.account, nonce) for nonce in range(6)]
        arguments = {
            "AssetLedger": encode(["address", "address[4]"], [self.account, addresses[:4]]),
            "EvidenceLog": encode(["address"], [addresses[4]]),
        }
        for nonce, name in enumerate((*code.DEFINITIONS.values(), "AssetLedger", "EvidenceLog")):
            self._deploy(nonce, name, addresses[nonce], arguments.get(name, b""), chain_id)
        return Addresses(chain_id, addresses[4], addresses[5])

    def _deploy(self, nonce: int, name: str, address: str, arguments: bytes, chain_id: int) -> None:
        if not self._stands(name, address):
            initial = bytes.fromhex(interface(name)["bytecode"].removeprefix("0x")) + arguments
            self._send(legacy_transaction(self._key, nonce, None, initial, chain_id, DEPLOY_GAS))
            if not self._stands(name, address):
                raise UnavailableLedger(f"{name} is not at {address} after its deployment")

    def _stands(self, name: str, address: str) -> bool:
        found = bytes.fromhex(self._rpc("eth_getCode", address, "latest")[2:])
        if not found:
            return False
        if code.immutables(name, found) is None:
            raise RejectedConflict(
                f"the contract at {address} is not this version's {name}: "
                "use a new admin key (a new ledger), or the version of this platform that deployed it"
            )
        return True

    def appoint(self, ledger: str, role: str, account: str, signing_key_digest: str, again: bool = True) -> bool:
        """Grant a role to an account and bind its P-256 key; False where that was so already.

        ``again`` says whether one that was dismissed is appointed once more.
        """
        identifier = role_id(role)
        question, no = ("hasRole", False) if again else ("signingKeyDigest", bytes(32))
        said = self._rpc.call(ledger, call_data("AssetLedger", question, identifier, account))
        if results("AssetLedger", question, said)[0] != no:
            return False
        self._act(ledger, call_data("AssetLedger", "appoint", identifier, account, bytes_of(signing_key_digest)))
        return True

    def dismiss(self, ledger: str, role: str, account: str) -> None:
        """End an account's role; what it authorized before stays."""
        self._act(ledger, call_data("AssetLedger", "dismiss", role_id(role), account))

    def holders(self, ledger: str, role: str) -> Sequence[str]:
        """The accounts that hold a role now, the latest appointed last."""
        return list(holders(EthereumLedger(self._url, 0, ledger, "").grants(), role))

    def _act(self, to: str, data: bytes) -> None:
        chain_id = int(self._rpc("eth_chainId"), 16)
        nonce = int(self._rpc("eth_getTransactionCount", self.account, "pending"), 16)
        self._send(legacy_transaction(self._key, nonce, to, data, chain_id))

    def _send(self, raw: str) -> None:
        receipt = self._rpc.wait(self._rpc("eth_sendRawTransaction", raw))
        if int(receipt["status"], 16) != 1:
            raise RejectedConflict(f"the ledger refused transaction {receipt['transactionHash']} of its admin")
