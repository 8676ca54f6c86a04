// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {AssetLedger} from "../src/AssetLedger.sol";
import {EvidenceLog} from "../src/EvidenceLog.sol";
import {IEvidenceLog} from "../src/IEvidenceLog.sol";
import {Roles} from "../src/Roles.sol";
import {LedgerTest} from "./support/LedgerTest.sol";

contract EvidenceLogTest is LedgerTest {
    bytes32[7] private claims =
        [bytes32("registration"), "training", "translation", "integrity", "provenance", "equivalence", "reproduction"];

    function setUp() public override {
        super.setUp();
        registerChain();
    }

    // What recording does

    function test_EvidenceForEveryClaimIsRecorded() public {
        for (uint256 i = 0; i < claims.length; ++i) {
            (uint256 key,) = makerOf(claims[i]);
            IEvidenceLog.Evidence memory evidence_ = evidence(TRAINED_MODEL, claims[i]);
            log.record(evidence_, sign(key, evidence_));

            IEvidenceLog.Entry memory entry = find(evidence_);
            assertEq(entry.authorizer, vm.addr(key), "authorizer");
            assertEq(entry.recordedAt, block.timestamp, "time");
            assertEq(entry.verdict, 1, "verdict");
        }
    }

    function test_UnknownEvidenceIsFoundAsZeros() public view {
        assertEq(abi.encode(log.find(MODEL, "integrity", 0)), new bytes(96), "entry");
    }

    function test_RecordingIsAnnounced() public {
        IEvidenceLog.Evidence memory evidence_ = evidence(MODEL, "integrity");
        bytes memory signature = sign(VERIFIER_KEY, evidence_);
        vm.expectEmit(address(log));
        emit IEvidenceLog.EvidenceRecorded(MODEL, "integrity", evidence_.statementDigest, 1, vm.addr(VERIFIER_KEY));
        log.record(evidence_, signature);
    }

    function test_AnybodyMayCarryEvidence() public {
        IEvidenceLog.Evidence memory evidence_ = evidence(MODEL, "integrity");
        bytes memory signature = sign(VERIFIER_KEY, evidence_);
        vm.prank(vm.addr(STRANGER_KEY));
        log.record(evidence_, signature);
        assertEq(find(evidence_).authorizer, vm.addr(VERIFIER_KEY), "authorizer");
    }

    function test_EvidenceAboutARevokedAssetIsRecorded() public {
        revoke(MODEL);
        IEvidenceLog.Evidence memory evidence_ = evidence(MODEL, "integrity");
        evidence_.verdict = 3;
        log.record(evidence_, sign(VERIFIER_KEY, evidence_));
        assertEq(find(evidence_).verdict, 3, "verdict");
    }

    function testFuzz_StatementsAreKeptApart(bytes32 one, bytes32 other, uint8 verdict) public {
        vm.assume(one != other);
        IEvidenceLog.Evidence memory evidence_ = evidence(MODEL, "integrity");
        evidence_.verdict = uint8(bound(verdict, 1, 3));
        evidence_.statementDigest = one;
        log.record(evidence_, sign(VERIFIER_KEY, evidence_));

        assertEq(log.find(MODEL, "integrity", one).verdict, evidence_.verdict, "itself");
        assertEq(log.find(MODEL, "integrity", other).verdict, 0, "another statement");
        assertEq(log.find(MODEL, "provenance", one).verdict, 0, "another claim");
        assertEq(log.find(DATASET, "integrity", one).verdict, 0, "another subject");
    }

    // Requirements

    function testFuzz_RevertWhen_TheClaimIsUnknown(bytes32 claim) public {
        for (uint256 i = 0; i < claims.length; ++i) {
            vm.assume(claim != claims[i]);
        }
        expectUnknownClaim(claim);
    }

    function test_RevertWhen_TheClaimIsWrittenInAnotherWay() public {
        expectUnknownClaim(0);
        expectUnknownClaim("Integrity");
        expectUnknownClaim("integrity ");
        expectUnknownClaim(bytes32(uint256(bytes32("integrity")) >> 184));
    }

    function testFuzz_RevertWhen_TheVerdictIsNone(uint8 verdict) public {
        vm.assume(verdict == 0 || verdict > 3);
        IEvidenceLog.Evidence memory evidence_ = evidence(MODEL, "integrity");
        evidence_.verdict = verdict;
        bytes memory signature = sign(VERIFIER_KEY, evidence_);
        vm.expectRevert(abi.encodeWithSelector(IEvidenceLog.EvidenceLogInvalidVerdict.selector, verdict));
        log.record(evidence_, signature);
    }

    function testFuzz_RevertWhen_TheSubjectIsUnknown(bytes16 subject) public {
        vm.assume(ledger.find(subject).kind == 0);
        IEvidenceLog.Evidence memory evidence_ = evidence(subject, "integrity");
        bytes memory signature = sign(VERIFIER_KEY, evidence_);
        vm.expectRevert(abi.encodeWithSelector(IEvidenceLog.EvidenceLogUnknownSubject.selector, subject));
        log.record(evidence_, signature);
    }

    /// @dev Also with another verdict, and by another holder of the role.
    function testFuzz_RevertWhen_TheEvidenceIsRecorded(uint8 first, uint8 second, bool byAnother) public {
        IEvidenceLog.Evidence memory evidence_ = evidence(MODEL, "integrity");
        evidence_.verdict = uint8(bound(first, 1, 3));
        log.record(evidence_, sign(VERIFIER_KEY, evidence_));
        bytes memory recorded = abi.encode(find(evidence_));

        appoint(Roles.VERIFIER, STRANGER_KEY);
        vm.warp(block.timestamp + 1 days);
        evidence_.verdict = uint8(bound(second, 1, 3));
        bytes memory signature = sign(byAnother ? STRANGER_KEY : VERIFIER_KEY, evidence_);
        vm.expectRevert(
            abi.encodeWithSelector(
                IEvidenceLog.EvidenceLogAlreadyRecorded.selector, MODEL, bytes32("integrity"), evidence_.statementDigest
            )
        );
        log.record(evidence_, signature);
        assertEq(abi.encode(find(evidence_)), recorded, "entry");
    }

    /// @dev Each claim, signed by each role: exactly one may.
    function test_RevertWhen_AnotherRoleSigns() public {
        for (uint256 i = 0; i < claims.length; ++i) {
            (uint256 maker, bytes32 role) = makerOf(claims[i]);
            IEvidenceLog.Evidence memory evidence_ = evidence(MODEL, claims[i]);
            for (uint256 key = 100; key <= STRANGER_KEY; ++key) {
                if (key == maker) continue;
                bytes memory signature = sign(key, evidence_);
                vm.expectRevert(
                    abi.encodeWithSelector(IEvidenceLog.EvidenceLogUnauthorizedAuthorizer.selector, vm.addr(key), role)
                );
                log.record(evidence_, signature);
            }
        }
    }

    function test_RevertWhen_TheSignerWasDismissed() public {
        IEvidenceLog.Evidence memory evidence_ = evidence(MODEL, "integrity");
        bytes memory signature = sign(VERIFIER_KEY, evidence_);
        vm.prank(ADMIN);
        ledger.dismiss(Roles.VERIFIER, vm.addr(VERIFIER_KEY));

        vm.expectRevert(
            abi.encodeWithSelector(
                IEvidenceLog.EvidenceLogUnauthorizedAuthorizer.selector, vm.addr(VERIFIER_KEY), Roles.VERIFIER
            )
        );
        log.record(evidence_, signature);
    }

    function test_ADismissedSignersEvidenceStays() public {
        IEvidenceLog.Evidence memory evidence_ = evidence(MODEL, "integrity");
        log.record(evidence_, sign(VERIFIER_KEY, evidence_));
        vm.prank(ADMIN);
        ledger.dismiss(Roles.VERIFIER, vm.addr(VERIFIER_KEY));
        assertEq(find(evidence_).authorizer, vm.addr(VERIFIER_KEY), "authorizer");
    }

    function testFuzz_RevertWhen_TheSignatureIsMalleated(bytes32 statementDigest) public {
        IEvidenceLog.Evidence memory evidence_ = evidence(MODEL, "integrity");
        evidence_.statementDigest = statementDigest;
        bytes memory signature = malleate(sign(VERIFIER_KEY, evidence_));
        (, bytes32 s,) = split(signature);
        vm.expectRevert(abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureS.selector, s));
        log.record(evidence_, signature);
    }

    /// @dev Nothing of what was signed can be exchanged by the carrier.
    function testFuzz_RevertWhen_TheEvidenceIsNotTheSignedOne(uint256 field, bytes32 other) public {
        IEvidenceLog.Evidence memory evidence_ = evidence(MODEL, "integrity");
        bytes memory signature = sign(VERIFIER_KEY, evidence_);
        vm.assume(other != evidence_.statementDigest);

        field = bound(field, 0, 3);
        if (field == 0) evidence_.subject = DATASET;
        if (field == 1) evidence_.claim = "provenance";
        if (field == 2) evidence_.statementDigest = other;
        if (field == 3) evidence_.verdict = uint8(bound(uint256(other), 2, 3));

        assertUnauthorized(
            address(log),
            abi.encodeCall(EvidenceLog.record, (evidence_, signature)),
            IEvidenceLog.EvidenceLogUnauthorizedAuthorizer.selector
        );
    }

    // Construction

    function test_TheLogKnowsItsLedger() public view {
        assertEq(address(log.ledger()), address(ledger), "ledger");
    }

    function test_RevertWhen_TheLedgerIsNoContract() public {
        address nothing = vm.addr(7);
        vm.expectRevert(abi.encodeWithSelector(IEvidenceLog.EvidenceLogInvalidLedger.selector, nothing));
        new EvidenceLog(AssetLedger(nothing));
    }

    // Helpers

    function makerOf(bytes32 claim) private pure returns (uint256 key, bytes32 role) {
        if (claim == "registration") return (REGISTRAR_KEY, Roles.REGISTRAR);
        if (claim == "training") return (TRAINER_KEY, Roles.TRAINER);
        if (claim == "translation") return (TRANSLATOR_KEY, Roles.TRANSLATOR);
        return (VERIFIER_KEY, Roles.VERIFIER);
    }

    function find(IEvidenceLog.Evidence memory evidence_) private view returns (IEvidenceLog.Entry memory) {
        return log.find(evidence_.subject, evidence_.claim, evidence_.statementDigest);
    }

    function expectUnknownClaim(bytes32 claim) private {
        IEvidenceLog.Evidence memory evidence_ = evidence(MODEL, claim);
        bytes memory signature = sign(VERIFIER_KEY, evidence_);
        vm.expectRevert(abi.encodeWithSelector(IEvidenceLog.EvidenceLogUnknownClaim.selector, claim));
        log.record(evidence_, signature);
    }
}
