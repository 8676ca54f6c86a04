// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AssetKinds} from "../src/AssetKinds.sol";
import {AssetLedger} from "../src/AssetLedger.sol";
import {EvidenceLog} from "../src/EvidenceLog.sol";
import {IAssetLedger} from "../src/IAssetLedger.sol";
import {IEvidenceLog} from "../src/IEvidenceLog.sol";
import {Roles} from "../src/Roles.sol";
import {LedgerTest} from "./support/LedgerTest.sol";

/**
 * @dev An authorization is for one act, on one contract, on one chain.
 */
contract ReplayTest is LedgerTest {
    uint256 private constant OTHER_CHAIN = 999;

    AssetLedger private otherLedger;
    EvidenceLog private otherLog;

    function setUp() public override {
        super.setUp();
        registerChain();
        otherLedger = new AssetLedger(
            ADMIN,
            [ledger.implementation(1), ledger.implementation(2), ledger.implementation(3), ledger.implementation(4)]
        );
        vm.prank(ADMIN);
        otherLedger.appoint(Roles.REGISTRAR, vm.addr(REGISTRAR_KEY), keyDigest(REGISTRAR_KEY));
        otherLog = new EvidenceLog(ledger);
    }

    function test_RevertWhen_ARegistrationIsForAnotherLedger() public {
        IAssetLedger.Registration memory registration = asset("new", AssetKinds.DATASET);
        assertUnauthorized(
            address(otherLedger),
            abi.encodeCall(AssetLedger.register, (registration, sign(REGISTRAR_KEY, registration))),
            IAssetLedger.AssetLedgerUnauthorizedAuthorizer.selector
        );
    }

    function test_RevertWhen_ARegistrationIsForAnotherChain() public {
        IAssetLedger.Registration memory registration = asset("new", AssetKinds.DATASET);
        bytes memory signature = sign(REGISTRAR_KEY, registration);
        vm.chainId(OTHER_CHAIN);
        assertUnauthorized(
            address(ledger),
            abi.encodeCall(AssetLedger.register, (registration, signature)),
            IAssetLedger.AssetLedgerUnauthorizedAuthorizer.selector
        );

        register(registration, REGISTRAR_KEY);
        assertEq(ledger.find("new").kind, AssetKinds.DATASET, "signed for this chain");
    }

    function test_RevertWhen_ARevocationIsForAnotherLedger() public {
        IAssetLedger.Registration memory registration = asset(MODEL, AssetKinds.DATASET);
        otherLedger.register(registration, sign(REGISTRAR_KEY, "AssetLedger", address(otherLedger), hash(registration)));
        IAssetLedger.Revocation memory revocation = IAssetLedger.Revocation(MODEL, "reason");
        assertUnauthorized(
            address(otherLedger),
            abi.encodeCall(AssetLedger.revoke, (revocation, sign(REGISTRAR_KEY, revocation))),
            IAssetLedger.AssetLedgerUnauthorizedAuthorizer.selector
        );
    }

    function test_RevertWhen_ARevocationIsForAnotherChain() public {
        IAssetLedger.Revocation memory revocation = IAssetLedger.Revocation(MODEL, "reason");
        bytes memory signature = sign(REGISTRAR_KEY, revocation);
        vm.chainId(OTHER_CHAIN);
        assertUnauthorized(
            address(ledger),
            abi.encodeCall(AssetLedger.revoke, (revocation, signature)),
            IAssetLedger.AssetLedgerUnauthorizedAuthorizer.selector
        );
    }

    function test_RevertWhen_EvidenceIsForAnotherLog() public {
        IEvidenceLog.Evidence memory evidence_ = evidence(MODEL, "integrity");
        assertUnauthorized(
            address(otherLog),
            abi.encodeCall(EvidenceLog.record, (evidence_, sign(VERIFIER_KEY, evidence_))),
            IEvidenceLog.EvidenceLogUnauthorizedAuthorizer.selector
        );
    }

    function test_RevertWhen_EvidenceIsForAnotherChain() public {
        IEvidenceLog.Evidence memory evidence_ = evidence(MODEL, "integrity");
        bytes memory signature = sign(VERIFIER_KEY, evidence_);
        vm.chainId(OTHER_CHAIN);
        assertUnauthorized(
            address(log),
            abi.encodeCall(EvidenceLog.record, (evidence_, signature)),
            IEvidenceLog.EvidenceLogUnauthorizedAuthorizer.selector
        );
    }

    /// @dev A revocation's struct hash under the domain of the log, and under the ledger's name with the log's address.
    function test_RevertWhen_TheDomainIsMixed() public {
        IAssetLedger.Revocation memory revocation = IAssetLedger.Revocation(MODEL, "reason");
        bytes[3] memory signatures = [
            sign(REGISTRAR_KEY, "EvidenceLog", address(log), hash(revocation)),
            sign(REGISTRAR_KEY, "AssetLedger", address(log), hash(revocation)),
            sign(REGISTRAR_KEY, "EvidenceLog", address(ledger), hash(revocation))
        ];
        for (uint256 i = 0; i < signatures.length; ++i) {
            assertUnauthorized(
                address(ledger),
                abi.encodeCall(AssetLedger.revoke, (revocation, signatures[i])),
                IAssetLedger.AssetLedgerUnauthorizedAuthorizer.selector
            );
        }
    }

    /// @dev What replaces a lost chain has the same ledger at the same address, and stored authorizations count there.
    function test_AuthorizationsCanBeCarriedAgainAfterAChainWasLost() public {
        IAssetLedger.Registration memory dataset = asset("dataset 2", AssetKinds.DATASET);
        IAssetLedger.Registration memory model = asset("model 2", AssetKinds.MODEL, "dataset 2");
        IAssetLedger.Revocation memory revocation = IAssetLedger.Revocation("dataset 2", "reason");
        bytes[3] memory signatures =
            [sign(REGISTRAR_KEY, dataset), sign(REGISTRAR_KEY, model), sign(REGISTRAR_KEY, revocation)];

        uint256 beginning = vm.snapshotState();
        address datasetContract = ledger.register(dataset, signatures[0]);
        address modelContract = ledger.register(model, signatures[1]);
        ledger.revoke(revocation, signatures[2]);

        vm.revertToState(beginning);
        assertEq(ledger.find("model 2").kind, 0, "the chain was not lost");
        vm.warp(block.timestamp + 30 days);
        assertEq(ledger.register(dataset, signatures[0]), datasetContract, "dataset");
        ledger.revoke(revocation, signatures[2]);
        assertEq(ledger.register(model, signatures[1]), modelContract, "model, now after the revocation");
    }
}
