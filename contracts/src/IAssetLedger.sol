// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";

/**
 * @dev The register of one tenant's assets.
 *
 * Whoever digested an asset's bytes signs for them (an EIP-712 _authorization_); anybody may carry the authorization
 * here. An accepted registration deploys the asset's own contract, a minimal proxy whose code holds the metadata (see
 * {IAsset}), and fills the asset's one storage slot. After that nothing changes an asset, except that the registrar may
 * revoke it once. The administrator appoints and dismisses roles and has no power over assets.
 *
 * EIP-712 domain: name `AssetLedger`, version `1`, the chain's id, this contract's address (see ERC-5267).
 *
 * The kinds are those of `AssetKinds`: 1 dataset, 2 model, 3 trained model, 4 translation.
 */
interface IAssetLedger is IAccessControl {
    /**
     * @dev What a role signs to register an asset, with the EIP-712 type
     * `Registration(bytes16 id,uint8 kind,bytes32 inventoryDigest,bytes32 recordDigest,bytes16[] parents)`.
     *
     * - `id`: the asset's UUID.
     * - `inventoryDigest`: SHA-256 of `inventory.jsonl`, which binds names and bytes of all files.
     * - `recordDigest`: SHA-256 of `record.json`.
     * - `parents`: the UUIDs of what it was made from; a model's datasets in the order of their channels.
     */
    struct Registration {
        bytes16 id;
        uint8 kind;
        bytes32 inventoryDigest;
        bytes32 recordDigest;
        bytes16[] parents;
    }

    /**
     * @dev What a registrar signs to revoke an asset, with the EIP-712 type
     * `Revocation(bytes16 id,bytes32 reasonDigest)`.
     */
    struct Revocation {
        bytes16 id;
        bytes32 reasonDigest;
    }

    /**
     * @dev The one storage slot of an asset, from the low-order end: `contract_` in bits 0-159, `registeredAt` (seconds
     * since 1970, the block's time) in bits 160-223, `kind` in bits 224-231, `revoked` in bits 232-239. The rest is
     * zero. It is found at `keccak256(abi.encode(id, uint256(3)))`, where `id` is left-aligned.
     */
    struct Asset {
        address contract_;
        uint64 registeredAt;
        uint8 kind;
        bool revoked;
    }

    /// @dev The administrator given to the constructor cannot administer.
    error AssetLedgerInvalidAdmin(address admin);

    /// @dev The contract at `implementation` does not define assets of `kind`.
    error AssetLedgerInvalidImplementation(uint8 kind, address implementation);

    /// @dev The role is none of registrar, trainer, translator and verifier.
    error AssetLedgerUnknownRole(bytes32 role);

    /// @dev The account cannot hold a role.
    error AssetLedgerInvalidAccount(address account);

    /// @dev The digest cannot be that of a signing key.
    error AssetLedgerInvalidSigningKeyDigest(bytes32 signingKeyDigest);

    /// @dev The account was appointed to `role` with another signing key, `signingKeyDigest`, which stays its own.
    error AssetLedgerSigningKeyAlreadySet(bytes32 role, address account, bytes32 signingKeyDigest);

    /// @dev The account was never appointed to `role`.
    error AssetLedgerNotAppointed(bytes32 role, address account);

    /// @dev The role is granted by {appoint} only, since its signing key must be recorded with it.
    error AssetLedgerAppointmentRequired(bytes32 role);

    /// @dev The id is no UUID.
    error AssetLedgerInvalidId(bytes16 id);

    /// @dev The number names no kind of asset.
    error AssetLedgerInvalidKind(uint8 kind);

    /// @dev An asset was already registered under this id; nothing replaces it.
    error AssetLedgerAlreadyRegistered(bytes16 id);

    /// @dev The asset was already revoked.
    error AssetLedgerAlreadyRevoked(bytes16 id);

    /// @dev No asset is registered under this id.
    error AssetLedgerUnknownAsset(bytes16 id);

    /// @dev An asset of `kind` cannot have this number of parents.
    error AssetLedgerWrongParentCount(uint8 kind, uint256 count);

    /// @dev An asset of `kind` cannot be made from `parent`, which is of `parentKind`.
    error AssetLedgerWrongParent(uint8 kind, bytes16 parent, uint8 parentKind);

    /// @dev The parent is named twice.
    error AssetLedgerRepeatedParent(bytes16 parent);

    /// @dev The signature is of `authorizer`, who does not hold `neededRole`.
    error AssetLedgerUnauthorizedAuthorizer(address authorizer, bytes32 neededRole);

    /// @dev `account` was appointed to `role`, with the SHA-256 of the P-256 public key it signs statements with.
    event RoleAppointed(bytes32 indexed role, address indexed account, bytes32 signingKeyDigest);

    /// @dev `account` no longer holds `role`; what was accepted from it before stays accepted.
    event RoleDismissed(bytes32 indexed role, address indexed account);

    /// @dev The asset `id` was registered on the authority of `authorizer`, and `contract_` deployed for it.
    event AssetRegistered(
        bytes16 indexed id,
        uint8 indexed kind,
        address contract_,
        address authorizer,
        bytes32 inventoryDigest,
        bytes32 recordDigest,
        bytes16[] parents
    );

    /// @dev The asset `id` was revoked on the authority of `authorizer`.
    event AssetRevoked(bytes16 indexed id, bytes32 reasonDigest, address authorizer);

    /**
     * @dev Appoints `account` to `role`, and records the SHA-256 of the P-256 public key that the role's holder signs
     * statements and files with. One account in one role has one signing key for ever, also after it was dismissed, so
     * that old evidence keeps checking. Appointing again with the same key is no error, and reinstates who was dismissed.
     *
     * Emits a {RoleAppointed} event, and a {IAccessControl-RoleGranted} event, unless `account` holds the role already.
     *
     * Requirements:
     *
     * - the caller must have the administrator's role.
     * - `role` must be one of the four roles.
     * - `account` and `keyDigest` must not be zero.
     * - no other signing key may be recorded for `account` in `role`.
     */
    function appoint(bytes32 role, address account, bytes32 keyDigest) external;

    /**
     * @dev Takes `role` from `account`. What was accepted from it stays accepted: a role is judged at the time its act
     * was accepted, which the events show. {IAccessControl-revokeRole} and {IAccessControl-renounceRole} do the same.
     * Dismissing again is no error.
     *
     * Emits a {RoleDismissed} event, and a {IAccessControl-RoleRevoked} event, if `account` held the role.
     *
     * Requirements:
     *
     * - the caller must have the administrator's role.
     * - `role` must be one of the four roles.
     * - `account` must have been appointed to `role` before.
     */
    function dismiss(bytes32 role, address account) external;

    /**
     * @dev Registers an asset and deploys its contract, whose address is a function of this ledger, the asset's id and
     * its metadata (see {predict}). Anybody may call it. Revoked parents are accepted, so that every registration can be
     * carried again after a chain was lost; the platform refuses them before it signs.
     *
     * Returns the address of the asset's contract.
     *
     * Emits an {AssetRegistered} event.
     *
     * Requirements:
     *
     * - `registration.id` must not be zero, and not be registered.
     * - `registration.kind` must be a kind of asset.
     * - a dataset must have no parents; a model 1 to 32 different datasets; a trained model one model (trained here) or
     *   none (imported); a translation one trained model.
     * - every parent must be registered.
     * - `signature` must be a 65-byte signature of `registration` by an account that holds the needed role: the
     *   translator's for a translation, the trainer's for a trained model with a parent, else the registrar's.
     */
    function register(Registration calldata registration, bytes calldata signature) external returns (address contract_);

    /**
     * @dev Revokes an asset: it stays registered and readable, and is marked as no longer to be used. Anybody may call
     * it. There is no way back.
     *
     * Emits an {AssetRevoked} event.
     *
     * Requirements:
     *
     * - `revocation.id` must be registered, and not be revoked.
     * - `signature` must be a 65-byte signature of `revocation` by an account that holds the registrar's role.
     */
    function revoke(Revocation calldata revocation, bytes calldata signature) external;

    /// @dev The asset registered under `id`, or zeros if there is none.
    function find(bytes16 id) external view returns (Asset memory);

    /**
     * @dev The address at which {register} would deploy the contract of `registration` if `authorizer` signed it.
     *
     * Requirements:
     *
     * - `registration.kind` must be a kind of asset.
     */
    function predict(Registration calldata registration, address authorizer) external view returns (address);

    /**
     * @dev The contract which the contracts of all assets of `kind` are proxies of.
     *
     * Requirements:
     *
     * - `kind` must be a kind of asset.
     */
    function implementation(uint8 kind) external view returns (address);

    /// @dev The SHA-256 of the P-256 public key of `account` in `role`, also after its dismissal; zero if there is none.
    function signingKeyDigest(bytes32 role, address account) external view returns (bytes32);

    /// @dev Registers what was uploaded, and revokes.
    function REGISTRAR_ROLE() external view returns (bytes32);

    /// @dev Registers what was trained here.
    function TRAINER_ROLE() external view returns (bytes32);

    /// @dev Registers translations.
    function TRANSLATOR_ROLE() external view returns (bytes32);

    /// @dev Records evidence about assets of all kinds, and registers none.
    function VERIFIER_ROLE() external view returns (bytes32);
}
