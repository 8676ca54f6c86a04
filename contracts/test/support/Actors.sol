// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";

import {AssetKinds} from "../../src/AssetKinds.sol";
import {AssetLedger} from "../../src/AssetLedger.sol";
import {EvidenceLog} from "../../src/EvidenceLog.sol";
import {IAssetLedger} from "../../src/IAssetLedger.sol";
import {IEvidenceLog} from "../../src/IEvidenceLog.sol";
import {Roles} from "../../src/Roles.sol";
import {LedgerTest} from "./LedgerTest.sol";

/**
 * @dev Acts on a ledger in random order, and remembers what was accepted. Refusals are part of it; a call that must be
 * refused and is not ends the test.
 */
contract Actors is LedgerTest {
    struct Seen {
        bytes16 id;
        address authorizer;
        bytes32 codehash;
        IAssetLedger.Asset asset;
    }

    struct Recorded {
        bytes16 subject;
        bytes32 claim;
        bytes32 statementDigest;
        IEvidenceLog.Entry entry;
    }

    /// @dev Few, so that random calls often meet ids that exist.
    uint256 private constant IDS = 24;

    Seen[] private _seen;
    Recorded[] private _recorded;
    mapping(bytes16 id => uint256) private _positions;
    mapping(uint8 kind => bytes16[]) private _ofKind;

    // What the invariants ask

    function ledgerUnderTest() external view returns (AssetLedger) {
        return ledger;
    }

    function logUnderTest() external view returns (EvidenceLog) {
        return log;
    }

    function count() external view returns (uint256) {
        return _seen.length;
    }

    function seen(uint256 position) external view returns (Seen memory) {
        return _seen[position];
    }

    /// @dev How many assets were registered before, or a number above all positions if `id` is not registered.
    function positionOf(bytes16 id) external view returns (uint256) {
        bool known = _seen.length != 0 && _seen[_positions[id]].id == id;
        return known ? _positions[id] : type(uint256).max;
    }

    function recordCount() external view returns (uint256) {
        return _recorded.length;
    }

    function recorded(uint256 position) external view returns (Recorded memory) {
        return _recorded[position];
    }

    function roleOf(uint256 key) public pure returns (bytes32) {
        if (key == REGISTRAR_KEY) return Roles.REGISTRAR;
        if (key == TRAINER_KEY) return Roles.TRAINER;
        return key == TRANSLATOR_KEY ? Roles.TRANSLATOR : Roles.VERIFIER;
    }

    // What the actors do

    function registerDataset(uint256 id) external {
        tryRegister(asset(idOf(id), AssetKinds.DATASET), REGISTRAR_KEY);
    }

    function registerModel(uint256 id, uint256 dataset) external {
        tryRegister(asset(idOf(id), AssetKinds.MODEL, oneOf(AssetKinds.DATASET, dataset)), REGISTRAR_KEY);
    }

    function registerTrainedModel(uint256 id, uint256 model, bool imported) external {
        if (imported) {
            tryRegister(asset(idOf(id), AssetKinds.TRAINED_MODEL), REGISTRAR_KEY);
        } else {
            tryRegister(asset(idOf(id), AssetKinds.TRAINED_MODEL, oneOf(AssetKinds.MODEL, model)), TRAINER_KEY);
        }
    }

    function registerTranslation(uint256 id, uint256 source) external {
        tryRegister(asset(idOf(id), AssetKinds.TRANSLATION, oneOf(AssetKinds.TRAINED_MODEL, source)), TRANSLATOR_KEY);
    }

    /// @dev Any kind and any parents that are registered, every other time signed by whom that kind needs.
    function registerAnything(uint256 id, uint8 kind, uint256[3] calldata parents, uint256 parentCount, uint256 key)
        external
    {
        kind = uint8(bound(kind, 0, 5));
        bytes16[] memory parentIds = new bytes16[](_seen.length == 0 ? 0 : bound(parentCount, 0, 3));
        for (uint256 i = 0; i < parentIds.length; ++i) {
            parentIds[i] = _seen[parents[i] % _seen.length].id;
        }
        if (key % 2 == 0) {
            key = kind == AssetKinds.TRANSLATION ? TRANSLATOR_KEY : REGISTRAR_KEY;
            if (kind == AssetKinds.TRAINED_MODEL && parentIds.length != 0) key = TRAINER_KEY;
        }
        tryRegister(asset(idOf(id), kind, parentIds), bound(key, 100, STRANGER_KEY));
    }

    function revokeOne(uint256 id, bool byRegistrar) external {
        IAssetLedger.Revocation memory revocation = IAssetLedger.Revocation(idOf(id), "reason");
        bytes memory signature = sign(byRegistrar ? REGISTRAR_KEY : VERIFIER_KEY, revocation);
        try ledger.revoke(revocation, signature) {
            require(byRegistrar, "revoked by another role");
            _seen[_positions[revocation.id]].asset.revoked = true;
        } catch {}
    }

    /// @dev One of a few statements about a registered asset, every other time signed by whom its claim needs.
    function recordEvidence(uint256 id, uint256 claim, uint256 statement, uint8 verdict, uint256 key) external {
        bytes32[4] memory claims = [bytes32("registration"), "training", "translation", "integrity"];
        claim = bound(claim, 0, 3);
        IEvidenceLog.Evidence memory evidence_ = IEvidenceLog.Evidence({
            subject: _seen.length == 0 ? idOf(id) : _seen[id % _seen.length].id,
            claim: claims[claim],
            statementDigest: bytes32(bound(statement, 0, 1)),
            verdict: uint8(bound(verdict, 0, 4))
        });
        key = key % 2 == 0 ? REGISTRAR_KEY + claim : bound(key, 100, STRANGER_KEY);
        vm.warp(block.timestamp + 1);
        try log.record(evidence_, sign(key, evidence_)) {
            _recorded.push(
                Recorded({
                    subject: evidence_.subject,
                    claim: evidence_.claim,
                    statementDigest: evidence_.statementDigest,
                    entry: IEvidenceLog.Entry(vm.addr(key), uint64(block.timestamp), evidence_.verdict)
                })
            );
        } catch {}
    }

    /// @dev Appoints more often than it dismisses, else hardly anything would be accepted.
    function appointOrDismiss(uint256 key, uint8 choice) external {
        key = bound(key, REGISTRAR_KEY, VERIFIER_KEY);
        bytes32 role = roleOf(key);
        address account = vm.addr(key);
        vm.prank(ADMIN);
        if (choice % 4 == 0) {
            ledger.dismiss(role, account);
        } else if (choice % 4 == 1) {
            try ledger.appoint(role, account, "another") {
                revert("a signing key was exchanged");
            } catch {}
        } else {
            ledger.appoint(role, account, keyDigest(key));
        }
    }

    /// @dev The administrator calls everything that changes anything, with signatures of its own.
    function interfere(uint256 id, uint8 kind, uint256 key) external {
        IAssetLedger.Registration memory registration = asset(idOf(id), uint8(bound(kind, 1, 4)));
        IAssetLedger.Revocation memory revocation = IAssetLedger.Revocation(idOf(id), "reason");
        IEvidenceLog.Evidence memory evidence_ = evidence(idOf(id), "integrity");
        key = bound(key, REGISTRAR_KEY, VERIFIER_KEY);

        mustFail(address(ledger), abi.encodeCall(AssetLedger.register, (registration, sign(100, registration))));
        mustFail(address(ledger), abi.encodeCall(AssetLedger.revoke, (revocation, sign(100, revocation))));
        mustFail(address(log), abi.encodeCall(EvidenceLog.record, (evidence_, sign(100, evidence_))));
        mustFail(address(ledger), abi.encodeCall(IAccessControl.grantRole, (roleOf(key), ADMIN)));
    }

    // Helpers

    function tryRegister(IAssetLedger.Registration memory registration, uint256 key) private {
        vm.warp(block.timestamp + 1);
        try ledger.register(registration, sign(key, registration)) returns (address contract_) {
            _positions[registration.id] = _seen.length;
            _ofKind[registration.kind].push(registration.id);
            _seen.push(
                Seen({
                    id: registration.id,
                    authorizer: vm.addr(key),
                    codehash: contract_.codehash,
                    asset: IAssetLedger.Asset(contract_, uint64(block.timestamp), registration.kind, false)
                })
            );
        } catch {}
    }

    function mustFail(address target, bytes memory callData) private {
        vm.prank(ADMIN);
        (bool success,) = target.call(callData);
        require(!success, "the administrator changed something");
    }

    function idOf(uint256 number) private pure returns (bytes16) {
        return bytes16(uint128(bound(number, 0, IDS)));
    }

    /// @dev A registered asset of `kind`, or an id that is registered for none.
    function oneOf(uint8 kind, uint256 number) private view returns (bytes16) {
        bytes16[] storage ids = _ofKind[kind];
        return ids.length == 0 ? bytes16("none") : ids[number % ids.length];
    }
}
