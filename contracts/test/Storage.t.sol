// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AssetKinds} from "../src/AssetKinds.sol";
import {IAssetLedger} from "../src/IAssetLedger.sol";
import {IEvidenceLog} from "../src/IEvidenceLog.sol";
import {Roles} from "../src/Roles.sol";
import {LedgerTest} from "./support/LedgerTest.sol";

/**
 * @dev Where things are stored is an interface: storage proofs (`eth_getProof`) are made and checked by it.
 */
contract StorageTest is LedgerTest {
    uint256 private constant ROLES_SLOT = 0;
    uint256 private constant ASSETS_SLOT = 3;
    uint256 private constant SIGNING_KEYS_SLOT = 4;
    uint256 private constant ENTRIES_SLOT = 2;

    function testFuzz_AnAssetIsOneSlot(bytes16 id, uint64 time, bool revoked) public {
        vm.assume(id != 0);
        vm.warp(time);
        address contract_ = register(asset(id, AssetKinds.DATASET), REGISTRAR_KEY);
        if (revoked) revoke(id);

        uint256 expected = uint160(contract_) | (uint256(time) << 160) | (uint256(AssetKinds.DATASET) << 224);
        if (revoked) expected |= uint256(1) << 232;
        assertEq(vm.load(address(ledger), assetSlot(id)), bytes32(expected), "slot");
    }

    function test_RegisteringWritesThatSlotOnly() public {
        IAssetLedger.Registration memory registration = asset("new", AssetKinds.DATASET);
        bytes memory signature = sign(REGISTRAR_KEY, registration);
        vm.record();
        ledger.register(registration, signature);
        assertOnlyWritten(address(ledger), assetSlot("new"));
    }

    function test_RevokingWritesThatSlotOnly() public {
        register(asset("new", AssetKinds.DATASET), REGISTRAR_KEY);
        vm.record();
        revoke("new");
        assertOnlyWritten(address(ledger), assetSlot("new"));
    }

    function testFuzz_EvidenceIsOneSlot(bytes32 statementDigest, uint64 time, uint8 verdict) public {
        register(asset(DATASET, AssetKinds.DATASET), REGISTRAR_KEY);
        vm.warp(time);
        verdict = uint8(bound(verdict, 1, 3));
        IEvidenceLog.Evidence memory evidence_ = IEvidenceLog.Evidence(DATASET, "integrity", statementDigest, verdict);
        bytes memory signature = sign(VERIFIER_KEY, evidence_);
        vm.record();
        log.record(evidence_, signature);

        bytes32 key = keccak256(abi.encode(DATASET, bytes32("integrity"), statementDigest));
        bytes32 slot = keccak256(abi.encode(key, ENTRIES_SLOT));
        uint256 expected = uint160(vm.addr(VERIFIER_KEY)) | (uint256(time) << 160) | (uint256(verdict) << 224);
        assertEq(vm.load(address(log), slot), bytes32(expected), "slot");
        assertOnlyWritten(address(log), slot);
    }

    function test_SigningKeysAndRolesAreWhereTheyAreSaidToBe() public view {
        bytes32 account = bytes32(uint256(uint160(vm.addr(TRAINER_KEY))));
        bytes32 keys = keccak256(abi.encode(Roles.TRAINER, SIGNING_KEYS_SLOT));
        assertEq(vm.load(address(ledger), keccak256(abi.encode(account, keys))), keyDigest(TRAINER_KEY), "signing key");
        bytes32 members = keccak256(abi.encode(Roles.TRAINER, ROLES_SLOT));
        assertEq(vm.load(address(ledger), keccak256(abi.encode(account, members))), bytes32(uint256(1)), "role");
    }

    function test_TheSlotsInBetweenAreEmpty() public view {
        for (uint256 slot = 0; slot < 6; ++slot) {
            assertEq(vm.load(address(ledger), bytes32(slot)), 0, "ledger");
            assertEq(vm.load(address(log), bytes32(slot)), 0, "log");
        }
    }

    function assetSlot(bytes16 id) private pure returns (bytes32) {
        return keccak256(abi.encode(id, ASSETS_SLOT));
    }

    function assertOnlyWritten(address target, bytes32 slot) private {
        (, bytes32[] memory writes) = vm.accesses(target);
        assertTrue(writes.length != 0, "nothing was written");
        for (uint256 i = 0; i < writes.length; ++i) {
            assertEq(writes[i], slot, "another slot was written");
        }
    }
}
