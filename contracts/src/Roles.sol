// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/**
 * @dev The roles whose signatures the ledger and the evidence log accept. Each belongs to the one function of the
 * platform that digests the bytes it signs for.
 */
library Roles {
    bytes32 internal constant REGISTRAR = keccak256("REGISTRAR_ROLE");
    bytes32 internal constant TRAINER = keccak256("TRAINER_ROLE");
    bytes32 internal constant TRANSLATOR = keccak256("TRANSLATOR_ROLE");
    bytes32 internal constant VERIFIER = keccak256("VERIFIER_ROLE");

    /// @dev Whether `role` is one of the four.
    function isKnown(bytes32 role) internal pure returns (bool) {
        return role == REGISTRAR || role == TRAINER || role == TRANSLATOR || role == VERIFIER;
    }
}
