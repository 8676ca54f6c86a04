// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {AssetKinds} from "../src/AssetKinds.sol";
import {AssetLedger} from "../src/AssetLedger.sol";
import {IAssetLedger} from "../src/IAssetLedger.sol";
import {Roles} from "../src/Roles.sol";
import {LedgerTest} from "./support/LedgerTest.sol";

contract RevocationTest is LedgerTest {
    IAssetLedger.Revocation private revocation;

    function setUp() public override {
        super.setUp();
        registerChain();
        revocation = IAssetLedger.Revocation(MODEL, keccak256("licence withdrawn"));
    }

    function test_RevokingMarksTheAssetAndChangesNothingElse() public {
        IAssetLedger.Asset memory expected = ledger.find(MODEL);
        bytes32 code = expected.contract_.codehash;
        expected.revoked = true;
        bytes memory signature = sign(REGISTRAR_KEY, revocation);

        vm.warp(block.timestamp + 1 days);
        vm.prank(vm.addr(STRANGER_KEY));
        ledger.revoke(revocation, signature);

        assertEq(abi.encode(ledger.find(MODEL)), abi.encode(expected), "asset");
        assertEq(expected.contract_.codehash, code, "code");
        assertFalse(ledger.find(DATASET).revoked, "its parent");
        assertFalse(ledger.find(TRAINED_MODEL).revoked, "its child");
    }

    function test_RevokingIsAnnounced() public {
        bytes memory signature = sign(REGISTRAR_KEY, revocation);
        vm.expectEmit(address(ledger));
        emit IAssetLedger.AssetRevoked(MODEL, revocation.reasonDigest, vm.addr(REGISTRAR_KEY));
        ledger.revoke(revocation, signature);
    }

    function test_RevertWhen_TheAssetIsUnknown() public {
        revocation.id = "unknown";
        bytes memory signature = sign(REGISTRAR_KEY, revocation);
        vm.expectRevert(abi.encodeWithSelector(IAssetLedger.AssetLedgerUnknownAsset.selector, bytes16("unknown")));
        ledger.revoke(revocation, signature);
    }

    function test_RevertWhen_TheAssetIsRevoked() public {
        revoke(MODEL);
        bytes memory signature = sign(REGISTRAR_KEY, revocation);
        vm.expectRevert(abi.encodeWithSelector(IAssetLedger.AssetLedgerAlreadyRevoked.selector, MODEL));
        ledger.revoke(revocation, signature);
    }

    function test_RevertWhen_ARevokedAssetIsRegisteredAgain() public {
        revoke(DATASET);
        IAssetLedger.Registration memory registration = asset(DATASET, AssetKinds.DATASET);
        bytes memory signature = sign(REGISTRAR_KEY, registration);
        vm.expectRevert(abi.encodeWithSelector(IAssetLedger.AssetLedgerAlreadyRegistered.selector, DATASET));
        ledger.register(registration, signature);
    }

    function test_RevertWhen_AnotherRoleSigns() public {
        for (uint256 key = TRAINER_KEY; key <= STRANGER_KEY; ++key) {
            bytes memory signature = sign(key, revocation);
            expectUnauthorized(key, Roles.REGISTRAR);
            ledger.revoke(revocation, signature);
        }
    }

    function test_RevertWhen_TheAdministratorSigns() public {
        bytes memory signature = sign(100, revocation);
        expectUnauthorized(100, Roles.REGISTRAR);
        vm.prank(ADMIN);
        ledger.revoke(revocation, signature);
    }

    function testFuzz_RevertWhen_TheRevocationIsNotTheSignedOne(bytes32 reasonDigest) public {
        vm.assume(reasonDigest != revocation.reasonDigest);
        bytes memory signature = sign(REGISTRAR_KEY, revocation);
        assertUnauthorized(
            address(ledger),
            abi.encodeCall(AssetLedger.revoke, (IAssetLedger.Revocation(MODEL, reasonDigest), signature)),
            IAssetLedger.AssetLedgerUnauthorizedAuthorizer.selector
        );
        assertUnauthorized(
            address(ledger),
            abi.encodeCall(AssetLedger.revoke, (IAssetLedger.Revocation(DATASET, revocation.reasonDigest), signature)),
            IAssetLedger.AssetLedgerUnauthorizedAuthorizer.selector
        );
    }

    function testFuzz_RevertWhen_TheSignatureIsMalleated(bytes32 reasonDigest) public {
        revocation.reasonDigest = reasonDigest;
        bytes memory signature = malleate(sign(REGISTRAR_KEY, revocation));
        (, bytes32 s,) = split(signature);
        vm.expectRevert(abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureS.selector, s));
        ledger.revoke(revocation, signature);
    }
}
