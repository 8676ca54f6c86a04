// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AssetKinds} from "../AssetKinds.sol";
import {AssetDefinition} from "./AssetDefinition.sol";
import {IAsset, IDatasetAsset} from "./IAsset.sol";

/// @dev Implementation of {IDatasetAsset}.
contract DatasetAsset is AssetDefinition, IDatasetAsset {
    /// @inheritdoc IAsset
    function kind() external pure returns (uint8) {
        return AssetKinds.DATASET;
    }
}
