// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AssetKinds} from "../../src/AssetKinds.sol";
import {AssetLedger} from "../../src/AssetLedger.sol";
import {EvidenceLog} from "../../src/EvidenceLog.sol";
import {IAssetLedger} from "../../src/IAssetLedger.sol";
import {IEvidenceLog} from "../../src/IEvidenceLog.sol";
import {Roles} from "../../src/Roles.sol";
import {DatasetAsset} from "../../src/assets/DatasetAsset.sol";
import {ModelAsset} from "../../src/assets/ModelAsset.sol";
import {TrainedModelAsset} from "../../src/assets/TrainedModelAsset.sol";
import {TranslationAsset} from "../../src/assets/TranslationAsset.sol";
import {Test} from "./Test.sol";

/**
 * @dev A ledger with an appointed account for each role, and the signing of what roles sign. The EIP-712 encoding here
 * is written apart from the contracts' on purpose: it is what the platform's Python has to produce.
 */
abstract contract LedgerTest is Test {
    bytes32 private constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");

    bytes16 internal constant DATASET = "dataset";
    bytes16 internal constant MODEL = "model";
    bytes16 internal constant TRAINED_MODEL = "trained-model";
    bytes16 internal constant TRANSLATION = "translation";

    /// @dev Half of the order of secp256k1: signatures with a greater `s` are malleable.
    uint256 internal constant CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;

    address internal immutable ADMIN = vm.addr(100);
    uint256 internal constant REGISTRAR_KEY = 101;
    uint256 internal constant TRAINER_KEY = 102;
    uint256 internal constant TRANSLATOR_KEY = 103;
    uint256 internal constant VERIFIER_KEY = 104;
    uint256 internal constant STRANGER_KEY = 105;

    AssetLedger internal ledger;
    EvidenceLog internal log;

    function setUp() public virtual {
        vm.warp(1_700_000_000);
        ledger = new AssetLedger(
            ADMIN,
            [
                address(new DatasetAsset()),
                address(new ModelAsset()),
                address(new TrainedModelAsset()),
                address(new TranslationAsset())
            ]
        );
        log = new EvidenceLog(ledger);
        appoint(Roles.REGISTRAR, REGISTRAR_KEY);
        appoint(Roles.TRAINER, TRAINER_KEY);
        appoint(Roles.TRANSLATOR, TRANSLATOR_KEY);
        appoint(Roles.VERIFIER, VERIFIER_KEY);
    }

    function appoint(bytes32 role, uint256 key) internal {
        vm.prank(ADMIN);
        ledger.appoint(role, vm.addr(key), keyDigest(key));
    }

    /// @dev Stands for the SHA-256 of the P-256 key of whoever has `key`. Not SHA-256 itself: a precompile ends a prank.
    function keyDigest(uint256 key) internal pure returns (bytes32) {
        return keccak256(abi.encode(key));
    }

    // Assets

    /// @dev One asset of each kind, each made from the one before.
    function registerChain() internal {
        register(asset(DATASET, AssetKinds.DATASET), REGISTRAR_KEY);
        register(asset(MODEL, AssetKinds.MODEL, DATASET), REGISTRAR_KEY);
        register(asset(TRAINED_MODEL, AssetKinds.TRAINED_MODEL, MODEL), TRAINER_KEY);
        register(asset(TRANSLATION, AssetKinds.TRANSLATION, TRAINED_MODEL), TRANSLATOR_KEY);
    }

    function register(IAssetLedger.Registration memory registration, uint256 key) internal returns (address) {
        return ledger.register(registration, sign(key, registration));
    }

    function revoke(bytes16 id) internal {
        IAssetLedger.Revocation memory revocation = IAssetLedger.Revocation(id, "reason");
        ledger.revoke(revocation, sign(REGISTRAR_KEY, revocation));
    }

    function asset(bytes16 id, uint8 kind) internal pure returns (IAssetLedger.Registration memory) {
        return asset(id, kind, new bytes16[](0));
    }

    function asset(bytes16 id, uint8 kind, bytes16 parent) internal pure returns (IAssetLedger.Registration memory) {
        bytes16[] memory parents = new bytes16[](1);
        parents[0] = parent;
        return asset(id, kind, parents);
    }

    function asset(bytes16 id, uint8 kind, bytes16[] memory parents)
        internal
        pure
        returns (IAssetLedger.Registration memory)
    {
        return IAssetLedger.Registration({
            id: id,
            kind: kind,
            inventoryDigest: keccak256(abi.encode("inventory", id)),
            recordDigest: keccak256(abi.encode("record", id)),
            parents: parents
        });
    }

    /// @dev Datasets registered under new ids, which start with `prefix`.
    function registerDatasets(bytes8 prefix, uint256 count) internal returns (bytes16[] memory ids) {
        ids = new bytes16[](count);
        for (uint256 i = 0; i < count; ++i) {
            ids[i] = bytes16(prefix) | bytes16(uint128(i));
            register(asset(ids[i], AssetKinds.DATASET), REGISTRAR_KEY);
        }
    }

    function evidence(bytes16 subject, bytes32 claim) internal pure returns (IEvidenceLog.Evidence memory) {
        return IEvidenceLog.Evidence({
            subject: subject, claim: claim, statementDigest: keccak256(abi.encode(subject, claim)), verdict: 1
        });
    }

    // Signatures

    function sign(uint256 key, IAssetLedger.Registration memory registration) internal view returns (bytes memory) {
        return sign(key, "AssetLedger", address(ledger), hash(registration));
    }

    function sign(uint256 key, IAssetLedger.Revocation memory revocation) internal view returns (bytes memory) {
        return sign(key, "AssetLedger", address(ledger), hash(revocation));
    }

    function sign(uint256 key, IEvidenceLog.Evidence memory evidence_) internal view returns (bytes memory) {
        return sign(key, "EvidenceLog", address(log), hash(evidence_));
    }

    function sign(uint256 key, string memory name, address verifyingContract, bytes32 structHash)
        internal
        view
        returns (bytes memory)
    {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest(name, verifyingContract, structHash));
        return abi.encodePacked(r, s, v);
    }

    function digest(string memory name, address verifyingContract, bytes32 structHash) internal view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(DOMAIN_TYPEHASH, keccak256(bytes(name)), keccak256("1"), block.chainid, verifyingContract)
        );
        return keccak256(abi.encodePacked(hex"1901", domain, structHash));
    }

    function hash(IAssetLedger.Registration memory registration) internal pure returns (bytes32) {
        bytes memory parents;
        for (uint256 i = 0; i < registration.parents.length; ++i) {
            parents = bytes.concat(parents, bytes32(registration.parents[i]));
        }
        return keccak256(
            bytes.concat(
                keccak256(
                    "Registration(bytes16 id,uint8 kind,bytes32 inventoryDigest,bytes32 recordDigest,bytes16[] parents)"
                ),
                bytes32(registration.id),
                bytes32(uint256(registration.kind)),
                registration.inventoryDigest,
                registration.recordDigest,
                keccak256(parents)
            )
        );
    }

    function hash(IAssetLedger.Revocation memory revocation) internal pure returns (bytes32) {
        return keccak256(
            bytes.concat(
                keccak256("Revocation(bytes16 id,bytes32 reasonDigest)"),
                bytes32(revocation.id),
                revocation.reasonDigest
            )
        );
    }

    function hash(IEvidenceLog.Evidence memory evidence_) internal pure returns (bytes32) {
        return keccak256(
            bytes.concat(
                keccak256("Evidence(bytes16 subject,bytes32 claim,bytes32 statementDigest,uint8 verdict)"),
                bytes32(evidence_.subject),
                evidence_.claim,
                evidence_.statementDigest,
                bytes32(uint256(evidence_.verdict))
            )
        );
    }

    /// @dev The other signature that the curve allows for the same message and key.
    function malleate(bytes memory signature) internal pure returns (bytes memory) {
        (bytes32 r, bytes32 s, uint8 v) = split(signature);
        return abi.encodePacked(r, bytes32(CURVE_ORDER - uint256(s)), v == 27 ? 28 : 27);
    }

    function split(bytes memory signature) internal pure returns (bytes32 r, bytes32 s, uint8 v) {
        assembly ("memory-safe") {
            r := mload(add(signature, 0x20))
            s := mload(add(signature, 0x40))
            v := byte(0, mload(add(signature, 0x60)))
        }
    }

    // Expectations

    function expectUnauthorized(uint256 key, bytes32 neededRole) internal {
        vm.expectRevert(
            abi.encodeWithSelector(IAssetLedger.AssetLedgerUnauthorizedAuthorizer.selector, vm.addr(key), neededRole)
        );
    }

    /// @dev Expects no particular signer, for signatures that recover to some account that nobody has the key of.
    function assertUnauthorized(address target, bytes memory callData, bytes4 selector) internal {
        (bool success, bytes memory result) = target.call(callData);
        assertFalse(success, "the signature was accepted");
        assertEq(bytes32(bytes4(result)), bytes32(selector), "it failed for another reason");
    }
}
