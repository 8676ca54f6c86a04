// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AssetKinds} from "../src/AssetKinds.sol";
import {IAssetLedger} from "../src/IAssetLedger.sol";
import {IAsset} from "../src/assets/IAsset.sol";
import {Actors} from "./support/Actors.sol";
import {LedgerTest} from "./support/LedgerTest.sol";

/**
 * @dev What holds after any sequence of calls by honest carriers, by key holders that were dismissed, and by an
 * administrator who tries to change assets.
 */
contract InvariantsTest is LedgerTest {
    struct FuzzSelector {
        address target;
        bytes4[] selectors;
    }

    Actors private actors;

    function setUp() public override {
        actors = new Actors();
        actors.setUp();
        ledger = actors.ledgerUnderTest();
        log = actors.logUnderTest();
    }

    /// @dev forge reads which functions it may call.
    function targetSelectors() public view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        targets[0].target = address(actors);
        targets[0].selectors = new bytes4[](9);
        targets[0].selectors[0] = Actors.registerDataset.selector;
        targets[0].selectors[1] = Actors.registerModel.selector;
        targets[0].selectors[2] = Actors.registerTrainedModel.selector;
        targets[0].selectors[3] = Actors.registerTranslation.selector;
        targets[0].selectors[4] = Actors.registerAnything.selector;
        targets[0].selectors[5] = Actors.revokeOne.selector;
        targets[0].selectors[6] = Actors.recordEvidence.selector;
        targets[0].selectors[7] = Actors.appointOrDismiss.selector;
        targets[0].selectors[8] = Actors.interfere.selector;
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(actors);
    }

    /// @dev Address, time and kind of an asset are what they were when it was registered, and so is its code.
    function invariant_AnAssetIsWrittenOnce() public view {
        for (uint256 i = 0; i < actors.count(); ++i) {
            Actors.Seen memory seen = actors.seen(i);
            IAssetLedger.Asset memory found = ledger.find(seen.id);
            assertEq(found.contract_, seen.asset.contract_, "contract");
            assertEq(found.registeredAt, seen.asset.registeredAt, "time");
            assertEq(found.kind, seen.asset.kind, "kind");
            assertEq(found.contract_.codehash, seen.codehash, "code");
        }
    }

    /// @dev An asset is revoked from the first accepted revocation on, and not before.
    function invariant_OnlyTheRegistrarsRevocationRevokes() public view {
        for (uint256 i = 0; i < actors.count(); ++i) {
            Actors.Seen memory seen = actors.seen(i);
            assertEq(ledger.find(seen.id).revoked, seen.asset.revoked, "revoked");
        }
    }

    /// @dev No two assets share an id or a contract.
    function invariant_IdsAndContractsAreUnique() public view {
        for (uint256 i = 0; i < actors.count(); ++i) {
            Actors.Seen memory one = actors.seen(i);
            for (uint256 j = 0; j < i; ++j) {
                Actors.Seen memory other = actors.seen(j);
                assertTrue(one.id != other.id, "id");
                assertTrue(one.asset.contract_ != other.asset.contract_, "contract");
            }
        }
    }

    /// @dev Every parent was registered before its child, and is of the kind that comes before.
    function invariant_ParentsAreRegisteredEarlier() public view {
        for (uint256 i = 0; i < actors.count(); ++i) {
            Actors.Seen memory child = actors.seen(i);
            bytes16[] memory parents = IAsset(child.asset.contract_).parents();
            for (uint256 j = 0; j < parents.length; ++j) {
                uint256 position = actors.positionOf(parents[j]);
                assertTrue(position < i, "registered later");
                assertEq(actors.seen(position).asset.kind, child.asset.kind - 1, "kind");
            }
        }
    }

    /// @dev Datasets are made from nothing, translations from one thing, and so on.
    function invariant_AssetsHaveTheParentsOfTheirKind() public view {
        for (uint256 i = 0; i < actors.count(); ++i) {
            Actors.Seen memory child = actors.seen(i);
            uint256 number = IAsset(child.asset.contract_).parents().length;
            assertTrue(number != 0 || child.asset.kind % 2 == 1, "too few");
            assertTrue(number <= 1 || child.asset.kind == AssetKinds.MODEL, "too many");
            assertTrue(number == 0 || child.asset.kind != AssetKinds.DATASET, "a dataset with parents");
        }
    }

    /// @dev The contract of every asset answers what was signed for, by whom it was signed.
    function invariant_ContractsAnswerWhatWasSigned() public view {
        for (uint256 i = 0; i < actors.count(); ++i) {
            Actors.Seen memory seen = actors.seen(i);
            IAsset contract_ = IAsset(seen.asset.contract_);
            assertEq(contract_.id(), seen.id, "id");
            assertEq(contract_.kind(), seen.asset.kind, "kind");
            assertEq(contract_.authorizer(), seen.authorizer, "authorizer");
            assertTrue(contract_.matches(asset(seen.id, seen.asset.kind).inventoryDigest), "inventory digest");
        }
    }

    /// @dev A verdict, who gave it and when are what they were when it was recorded.
    function invariant_EvidenceIsWrittenOnce() public view {
        for (uint256 i = 0; i < actors.recordCount(); ++i) {
            Actors.Recorded memory recorded = actors.recorded(i);
            assertEq(
                abi.encode(log.find(recorded.subject, recorded.claim, recorded.statementDigest)),
                abi.encode(recorded.entry),
                "entry"
            );
        }
    }

    /// @dev A signing key, once recorded, is that account's in that role for ever.
    function invariant_SigningKeysNeverChange() public view {
        for (uint256 key = REGISTRAR_KEY; key <= VERIFIER_KEY; ++key) {
            assertEq(ledger.signingKeyDigest(actors.roleOf(key), vm.addr(key)), keyDigest(key), "signing key");
        }
    }

    /// @dev The calls reach what they are meant to: a chain of all four kinds can be made by the actors.
    function test_TheActorsRegisterEveryKind() public {
        actors.registerDataset(1);
        actors.registerModel(2, 0);
        actors.registerTrainedModel(3, 0, true);
        actors.registerTranslation(4, 0);
        actors.revokeOne(1, true);
        actors.recordEvidence(1, 0, 0, 1, 0);
        assertEq(actors.count(), 4, "registered");
        assertEq(actors.seen(3).asset.kind, AssetKinds.TRANSLATION, "kind");
        assertTrue(actors.seen(0).asset.revoked, "revoked");
        assertEq(actors.recordCount(), 1, "recorded");
    }
}
