// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";

import {IAsset} from "./IAsset.sol";

/**
 * @dev What the definitions of all kinds share: they read the metadata which the ledger gave an asset's proxy as
 * immutable arguments, behind the 45 bytes of ERC-1167 code:
 *
 * - bytes 0 to 15: id
 * - bytes 16 to 47: inventory digest
 * - bytes 48 to 79: record digest
 * - bytes 80 to 99: authorizer
 * - bytes 100 and following: parents, 16 each
 *
 * There are no immutable variables and no storage: an implementation's code is the same on every chain.
 */
abstract contract AssetDefinition is IAsset {
    /// @dev The first bytes of an ERC-1167 proxy, before the address of its implementation.
    bytes10 private constant PROXY_PREFIX = 0x363d3d373d3d3d363d73;

    uint256 private constant PROXY_LENGTH = 45;
    uint256 private constant INVENTORY_DIGEST_OFFSET = 16;
    uint256 private constant RECORD_DIGEST_OFFSET = 48;
    uint256 private constant AUTHORIZER_OFFSET = 80;
    uint256 private constant PARENTS_OFFSET = 100;
    uint256 private constant PARENT_LENGTH = 16;

    /// @inheritdoc IAsset
    function id() public view returns (bytes16) {
        return bytes16(_word(_metadata(), 0));
    }

    /// @inheritdoc IAsset
    function inventoryDigest() public view returns (bytes32) {
        return _word(_metadata(), INVENTORY_DIGEST_OFFSET);
    }

    /// @inheritdoc IAsset
    function recordDigest() external view returns (bytes32) {
        return _word(_metadata(), RECORD_DIGEST_OFFSET);
    }

    /// @inheritdoc IAsset
    function parents() public view returns (bytes16[] memory list) {
        bytes memory metadata = _metadata();
        list = new bytes16[]((metadata.length - PARENTS_OFFSET) / PARENT_LENGTH);
        for (uint256 i = 0; i < list.length; ++i) {
            list[i] = bytes16(_word(metadata, PARENTS_OFFSET + i * PARENT_LENGTH));
        }
    }

    /// @inheritdoc IAsset
    function authorizer() external view returns (address) {
        return address(bytes20(_word(_metadata(), AUTHORIZER_OFFSET)));
    }

    /// @inheritdoc IAsset
    function matches(bytes32 digest) external view returns (bool) {
        return inventoryDigest() == digest;
    }

    /// @dev The immutable arguments of the proxy that calls this implementation.
    function _metadata() private view returns (bytes memory) {
        bytes memory code = address(this).code;
        // Clones.fetchCloneArgs does not check that its argument is a clone, and would return an implementation's code.
        if (code.length < PROXY_LENGTH + PARENTS_OFFSET || bytes10(code) != PROXY_PREFIX) {
            revert AssetWithoutMetadata(address(this));
        }
        return Clones.fetchCloneArgs(address(this));
    }

    /// @dev The 32 bytes from `offset` on, which may reach beyond the end by what the caller then cuts off.
    // Solidity has no other way to read a word at an offset of bytes in memory without copying it byte by byte.
    // slither-disable-next-line assembly
    function _word(bytes memory metadata, uint256 offset) private pure returns (bytes32 word) {
        assembly ("memory-safe") {
            word := mload(add(add(metadata, 0x20), offset))
        }
    }
}
