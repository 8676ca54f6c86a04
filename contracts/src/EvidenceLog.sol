// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {AssetLedger} from "./AssetLedger.sol";
import {IAssetLedger} from "./IAssetLedger.sol";
import {IEvidenceLog} from "./IEvidenceLog.sol";
import {Roles} from "./Roles.sol";

/**
 * @dev Implementation of {IEvidenceLog}.
 *
 * Storage: slots 0 and 1 are {EIP712}'s and empty, slot 2 the entries. The ledger is immutable, hence part of this
 * contract's code and of its code hash.
 */
contract EvidenceLog is IEvidenceLog, EIP712 {
    bytes32 private constant EVIDENCE_TYPEHASH =
        keccak256("Evidence(bytes16 subject,bytes32 claim,bytes32 statementDigest,uint8 verdict)");

    uint8 private constant PASSED = 1;
    uint8 private constant FAILED = 3;

    AssetLedger private immutable LEDGER;

    mapping(bytes32 key => Entry) private _entries;

    /**
     * @dev Makes `ledger_` the ledger whose assets and roles count.
     *
     * Requirements:
     *
     * - `ledger_` must be a contract.
     */
    constructor(AssetLedger ledger_) EIP712("EvidenceLog", "1") {
        if (address(ledger_).code.length == 0) revert EvidenceLogInvalidLedger(address(ledger_));
        LEDGER = ledger_;
    }

    /// @inheritdoc IEvidenceLog
    function record(Evidence calldata evidence, bytes calldata signature) external {
        bytes16 subject = evidence.subject;
        bytes32 claim = evidence.claim;
        bytes32 statementDigest = evidence.statementDigest;
        uint8 verdict = evidence.verdict;

        bytes32 neededRole = _claimRole(claim);
        if (verdict < PASSED || verdict > FAILED) revert EvidenceLogInvalidVerdict(verdict);
        if (LEDGER.find(subject).contract_ == address(0)) revert EvidenceLogUnknownSubject(subject);

        Entry storage entry = _entries[_key(subject, claim, statementDigest)];
        if (entry.authorizer != address(0)) revert EvidenceLogAlreadyRecorded(subject, claim, statementDigest);

        bytes32 structHash = keccak256(abi.encode(EVIDENCE_TYPEHASH, subject, claim, statementDigest, verdict));
        address authorizer = ECDSA.recover(_hashTypedDataV4(structHash), signature);
        if (!LEDGER.hasRole(neededRole, authorizer)) revert EvidenceLogUnauthorizedAuthorizer(authorizer, neededRole);

        entry.authorizer = authorizer;
        entry.recordedAt = uint64(block.timestamp);
        entry.verdict = verdict;

        emit EvidenceRecorded(subject, claim, statementDigest, verdict, authorizer);
    }

    /// @inheritdoc IEvidenceLog
    function find(bytes16 subject, bytes32 claim, bytes32 statementDigest) external view returns (Entry memory) {
        return _entries[_key(subject, claim, statementDigest)];
    }

    /// @inheritdoc IEvidenceLog
    function ledger() external view returns (IAssetLedger) {
        return LEDGER;
    }

    /// @dev The role that makes `claim`.
    function _claimRole(bytes32 claim) private pure returns (bytes32) {
        if (claim == "integrity" || claim == "provenance" || claim == "equivalence" || claim == "reproduction") {
            return Roles.VERIFIER;
        }
        if (claim == "registration") return Roles.REGISTRAR;
        if (claim == "training") return Roles.TRAINER;
        if (claim == "translation") return Roles.TRANSLATOR;
        revert EvidenceLogUnknownClaim(claim);
    }

    /// @dev The verdict is not part of it: a statement has one.
    function _key(bytes16 subject, bytes32 claim, bytes32 statementDigest) private pure returns (bytes32) {
        return keccak256(abi.encode(subject, claim, statementDigest));
    }
}
