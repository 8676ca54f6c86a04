// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/**
 * @dev The kinds of asset. They are numbers, not an enum, since they are signed over, packed into a storage slot and
 * read outside Solidity; zero is no kind, so that an empty slot is never mistaken for an asset.
 */
library AssetKinds {
    uint8 internal constant DATASET = 1;
    uint8 internal constant MODEL = 2;
    uint8 internal constant TRAINED_MODEL = 3;
    uint8 internal constant TRANSLATION = 4;
}
