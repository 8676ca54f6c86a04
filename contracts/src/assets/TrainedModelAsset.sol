// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AssetKinds} from "../AssetKinds.sol";
import {AssetDefinition} from "./AssetDefinition.sol";
import {IAsset, ITrainedModelAsset} from "./IAsset.sol";

/// @dev Implementation of {ITrainedModelAsset}.
contract TrainedModelAsset is AssetDefinition, ITrainedModelAsset {
    /// @inheritdoc IAsset
    function kind() external pure returns (uint8) {
        return AssetKinds.TRAINED_MODEL;
    }

    /// @inheritdoc ITrainedModelAsset
    function trained() external view returns (bool) {
        return parents().length != 0;
    }

    /// @inheritdoc ITrainedModelAsset
    function model() external view returns (bytes16) {
        bytes16[] memory models = parents();
        if (models.length == 0) revert TrainedModelAssetNotTrained(id());
        return models[0];
    }
}
