// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/**
 * @dev The contract of one asset. It is a minimal proxy (ERC-1167) deployed by {IAssetLedger}, whose metadata is part of
 * its code: there is no storage, and nothing in it can change.
 *
 * Anybody can deploy a contract that answers like this one. That an asset's contract is the asset's is said by the
 * ledger alone: see {IAssetLedger-find}.
 *
 * Requirements of every function but {kind}:
 *
 * - the contract must be a proxy that carries metadata; an implementation itself carries none.
 */
interface IAsset {
    /// @dev The contract at `instance` carries no metadata: it is an implementation, or no asset's proxy.
    error AssetWithoutMetadata(address instance);

    /// @dev The asset's UUID.
    function id() external view returns (bytes16);

    /// @dev The kind of asset: 1 dataset, 2 model, 3 trained model, 4 translation. An implementation answers it too.
    function kind() external pure returns (uint8);

    /// @dev SHA-256 of the asset's `inventory.jsonl`, which binds the names and the bytes of its files.
    function inventoryDigest() external view returns (bytes32);

    /// @dev SHA-256 of the asset's `record.json`.
    function recordDigest() external view returns (bytes32);

    /// @dev The UUIDs of the assets that this one was made from.
    function parents() external view returns (bytes16[] memory);

    /// @dev Who signed the registration.
    function authorizer() external view returns (address);

    /// @dev Whether `digest` is the asset's {inventoryDigest}.
    function matches(bytes32 digest) external view returns (bool);
}

/// @dev A dataset: files under a licence, made from no other asset.
interface IDatasetAsset is IAsset {}

/// @dev A model to be trained: datasets and a training container image.
interface IModelAsset is IAsset {
    /// @dev The UUIDs of the datasets it is trained on, in the order of their channels.
    function datasets() external view returns (bytes16[] memory);
}

/// @dev A trained model: trained by the platform from a model, or imported.
interface ITrainedModelAsset is IAsset {
    /// @dev The trained model `id` was imported; the platform knows of no model that it was trained from.
    error TrainedModelAssetNotTrained(bytes16 id);

    /// @dev Whether the platform trained it; if not, it was imported.
    function trained() external view returns (bool);

    /**
     * @dev The UUID of the model that it was trained from.
     *
     * Requirements:
     *
     * - the platform must have trained it.
     */
    function model() external view returns (bytes16);
}

/// @dev A translation of a trained model into another format.
interface ITranslationAsset is IAsset {
    /// @dev The UUID of the trained model that was translated.
    function source() external view returns (bytes16);
}
