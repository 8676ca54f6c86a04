// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AssetKinds} from "../AssetKinds.sol";
import {AssetDefinition} from "./AssetDefinition.sol";
import {IAsset, ITranslationAsset} from "./IAsset.sol";

/// @dev Implementation of {ITranslationAsset}.
contract TranslationAsset is AssetDefinition, ITranslationAsset {
    /// @inheritdoc IAsset
    function kind() external pure returns (uint8) {
        return AssetKinds.TRANSLATION;
    }

    /// @inheritdoc ITranslationAsset
    function source() external view returns (bytes16) {
        return parents()[0];
    }
}
