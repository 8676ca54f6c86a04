// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AssetKinds} from "../AssetKinds.sol";
import {AssetDefinition} from "./AssetDefinition.sol";
import {IAsset, IModelAsset} from "./IAsset.sol";

/// @dev Implementation of {IModelAsset}.
contract ModelAsset is AssetDefinition, IModelAsset {
    /// @inheritdoc IAsset
    function kind() external pure returns (uint8) {
        return AssetKinds.MODEL;
    }

    /// @inheritdoc IModelAsset
    function datasets() external view returns (bytes16[] memory) {
        return parents();
    }
}
