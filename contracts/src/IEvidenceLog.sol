// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAssetLedger} from "./IAssetLedger.sol";

/**
 * @dev The log of evidence about one tenant's assets: which statement, about which asset, with which verdict, was signed
 * by whom, and when it was recorded. The statement itself is kept elsewhere; its digest binds it.
 *
 * A claim is a short ASCII string, left-aligned. Who may make it depends on the claim:
 *
 * - `registration`: the registrar.
 * - `training`: the trainer.
 * - `translation`: the translator.
 * - `integrity`, `provenance`, `equivalence`, `reproduction`: the verifier.
 *
 * EIP-712 domain: name `EvidenceLog`, version `1`, the chain's id, this contract's address (see ERC-5267).
 */
interface IEvidenceLog {
    /**
     * @dev What a role signs to record evidence, with the EIP-712 type
     * `Evidence(bytes16 subject,bytes32 claim,bytes32 statementDigest,uint8 verdict)`.
     *
     * - `subject`: the UUID of the asset that the statement is about.
     * - `statementDigest`: SHA-256 of the stored statement in its envelope.
     * - `verdict`: 1 passed, 2 passed within a stated tolerance, 3 failed.
     */
    struct Evidence {
        bytes16 subject;
        bytes32 claim;
        bytes32 statementDigest;
        uint8 verdict;
    }

    /**
     * @dev The one storage slot of recorded evidence, from the low-order end: `authorizer` in bits 0-159, `recordedAt`
     * (seconds since 1970, the block's time) in bits 160-223, `verdict` in bits 224-231. The rest is zero. It is found
     * at `keccak256(abi.encode(key, uint256(2)))` where `key` is `keccak256(abi.encode(subject, claim, statementDigest))`.
     */
    struct Entry {
        address authorizer;
        uint64 recordedAt;
        uint8 verdict;
    }

    /// @dev The ledger given to the constructor is no contract.
    error EvidenceLogInvalidLedger(address ledger);

    /// @dev No role makes this claim.
    error EvidenceLogUnknownClaim(bytes32 claim);

    /// @dev The number is no verdict.
    error EvidenceLogInvalidVerdict(uint8 verdict);

    /// @dev No asset is registered under this id.
    error EvidenceLogUnknownSubject(bytes16 subject);

    /// @dev This evidence was already recorded; nothing replaces it, nor its verdict.
    error EvidenceLogAlreadyRecorded(bytes16 subject, bytes32 claim, bytes32 statementDigest);

    /// @dev The signature is of `authorizer`, who does not hold `neededRole`.
    error EvidenceLogUnauthorizedAuthorizer(address authorizer, bytes32 neededRole);

    /// @dev Evidence for `claim` about `subject` was recorded on the authority of `authorizer`.
    event EvidenceRecorded(
        bytes16 indexed subject, bytes32 indexed claim, bytes32 statementDigest, uint8 verdict, address authorizer
    );

    /**
     * @dev Records evidence, once. Anybody may call it. Evidence about a revoked asset is accepted: why it was revoked
     * may be just what the evidence shows.
     *
     * Emits an {EvidenceRecorded} event.
     *
     * Requirements:
     *
     * - `evidence.claim` must be one of those above.
     * - `evidence.verdict` must be 1, 2 or 3.
     * - `evidence.subject` must be registered on the ledger.
     * - no evidence may be recorded for the same subject, claim and statement.
     * - `signature` must be a 65-byte signature of `evidence` by an account that holds, on the ledger, the role that the
     *   claim needs.
     */
    function record(Evidence calldata evidence, bytes calldata signature) external;

    /// @dev The evidence recorded for the statement, or zeros if there is none.
    function find(bytes16 subject, bytes32 claim, bytes32 statementDigest) external view returns (Entry memory);

    /// @dev The ledger whose assets and roles count.
    function ledger() external view returns (IAssetLedger);
}
