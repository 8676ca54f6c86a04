// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {AssetKinds} from "./AssetKinds.sol";
import {IAssetLedger} from "./IAssetLedger.sol";
import {Roles} from "./Roles.sol";
import {IAsset} from "./assets/IAsset.sol";

/**
 * @dev Implementation of {IAssetLedger}.
 *
 * Storage: slot 0 is {AccessControl}'s roles, slots 1 and 2 are {EIP712}'s and empty, slot 3 the assets, slot 4 the
 * signing keys. The implementations are immutable, hence part of this contract's code and of its code hash.
 */
contract AssetLedger is IAssetLedger, AccessControl, EIP712 {
    /// @inheritdoc IAssetLedger
    bytes32 public constant REGISTRAR_ROLE = Roles.REGISTRAR;

    /// @inheritdoc IAssetLedger
    bytes32 public constant TRAINER_ROLE = Roles.TRAINER;

    /// @inheritdoc IAssetLedger
    bytes32 public constant TRANSLATOR_ROLE = Roles.TRANSLATOR;

    /// @inheritdoc IAssetLedger
    bytes32 public constant VERIFIER_ROLE = Roles.VERIFIER;

    bytes32 private constant REGISTRATION_TYPEHASH =
        keccak256("Registration(bytes16 id,uint8 kind,bytes32 inventoryDigest,bytes32 recordDigest,bytes16[] parents)");
    bytes32 private constant REVOCATION_TYPEHASH = keccak256("Revocation(bytes16 id,bytes32 reasonDigest)");

    uint256 private constant MAX_DATASETS = 32;

    address private immutable DATASET_IMPLEMENTATION;
    address private immutable MODEL_IMPLEMENTATION;
    address private immutable TRAINED_MODEL_IMPLEMENTATION;
    address private immutable TRANSLATION_IMPLEMENTATION;

    mapping(bytes16 id => Asset) private _assets;
    mapping(bytes32 role => mapping(address account => bytes32)) private _signingKeyDigests;

    /**
     * @dev Makes `admin` the administrator, and proxies of `implementations` the contracts of assets: in order, of
     * datasets, models, trained models and translations.
     *
     * Requirements:
     *
     * - `admin` must not be zero.
     * - each of `implementations` must be a contract which defines assets of its kind.
     */
    constructor(address admin, address[4] memory implementations) EIP712("AssetLedger", "1") {
        if (admin == address(0)) revert AssetLedgerInvalidAdmin(admin);

        DATASET_IMPLEMENTATION = _requireImplementation(AssetKinds.DATASET, implementations[0]);
        MODEL_IMPLEMENTATION = _requireImplementation(AssetKinds.MODEL, implementations[1]);
        TRAINED_MODEL_IMPLEMENTATION = _requireImplementation(AssetKinds.TRAINED_MODEL, implementations[2]);
        TRANSLATION_IMPLEMENTATION = _requireImplementation(AssetKinds.TRANSLATION, implementations[3]);

        _grantRole(DEFAULT_ADMIN_ROLE, admin);
    }

    /// @inheritdoc IAssetLedger
    function appoint(bytes32 role, address account, bytes32 keyDigest) external onlyRole(getRoleAdmin(role)) {
        _requireKnownRole(role);
        if (account == address(0)) revert AssetLedgerInvalidAccount(account);
        if (keyDigest == 0) revert AssetLedgerInvalidSigningKeyDigest(keyDigest);

        bytes32 recorded = _signingKeyDigests[role][account];
        if (recorded == 0) {
            _signingKeyDigests[role][account] = keyDigest;
        } else if (recorded != keyDigest) {
            revert AssetLedgerSigningKeyAlreadySet(role, account, recorded);
        }

        if (_grantRole(role, account)) {
            emit RoleAppointed(role, account, keyDigest);
        }
    }

    /// @inheritdoc IAssetLedger
    function dismiss(bytes32 role, address account) external onlyRole(getRoleAdmin(role)) {
        _requireKnownRole(role);
        if (_signingKeyDigests[role][account] == 0) revert AssetLedgerNotAppointed(role, account);

        _revokeRole(role, account);
    }

    /// @inheritdoc IAssetLedger
    function register(Registration calldata registration, bytes calldata signature)
        external
        returns (address contract_)
    {
        bytes16 id = registration.id;
        uint8 kind = registration.kind;
        if (id == 0) revert AssetLedgerInvalidId(id);
        // The slot has a time in it, but it is the address that is compared.
        // slither-disable-next-line timestamp
        if (_assets[id].contract_ != address(0)) revert AssetLedgerAlreadyRegistered(id);

        address definition = implementation(kind);
        _requireParents(kind, registration.parents);
        address authorizer = _requireAuthorizer(
            _hashRegistration(registration), signature, _registrationRole(kind, registration.parents.length)
        );

        contract_ =
            Clones.cloneDeterministicWithImmutableArgs(definition, _metadata(registration, authorizer), bytes32(id));
        _assets[id] = Asset({contract_: contract_, registeredAt: uint64(block.timestamp), kind: kind, revoked: false});

        emit AssetRegistered(
            id,
            kind,
            contract_,
            authorizer,
            registration.inventoryDigest,
            registration.recordDigest,
            registration.parents
        );
    }

    /// @inheritdoc IAssetLedger
    function revoke(Revocation calldata revocation, bytes calldata signature) external {
        Asset storage asset = _assets[revocation.id];
        if (asset.contract_ == address(0)) revert AssetLedgerUnknownAsset(revocation.id);
        if (asset.revoked) revert AssetLedgerAlreadyRevoked(revocation.id);

        bytes32 structHash = keccak256(abi.encode(REVOCATION_TYPEHASH, revocation.id, revocation.reasonDigest));
        address authorizer = _requireAuthorizer(structHash, signature, REGISTRAR_ROLE);

        asset.revoked = true;

        emit AssetRevoked(revocation.id, revocation.reasonDigest, authorizer);
    }

    /// @inheritdoc IAssetLedger
    function find(bytes16 id) external view returns (Asset memory) {
        return _assets[id];
    }

    /// @inheritdoc IAssetLedger
    function predict(Registration calldata registration, address authorizer) external view returns (address) {
        return Clones.predictDeterministicAddressWithImmutableArgs(
            implementation(registration.kind), _metadata(registration, authorizer), bytes32(registration.id)
        );
    }

    /// @inheritdoc IAssetLedger
    function signingKeyDigest(bytes32 role, address account) external view returns (bytes32) {
        return _signingKeyDigests[role][account];
    }

    /**
     * @dev See {AccessControl-grantRole}; only roles other than the four can be granted without {appoint}.
     */
    function grantRole(bytes32 role, address account) public override(AccessControl, IAccessControl) {
        if (Roles.isKnown(role)) revert AssetLedgerAppointmentRequired(role);
        super.grantRole(role, account);
    }

    /// @inheritdoc IAssetLedger
    function implementation(uint8 kind) public view returns (address) {
        if (kind == AssetKinds.DATASET) return DATASET_IMPLEMENTATION;
        if (kind == AssetKinds.MODEL) return MODEL_IMPLEMENTATION;
        if (kind == AssetKinds.TRAINED_MODEL) return TRAINED_MODEL_IMPLEMENTATION;
        if (kind == AssetKinds.TRANSLATION) return TRANSLATION_IMPLEMENTATION;
        revert AssetLedgerInvalidKind(kind);
    }

    /**
     * @dev See {AccessControl-_revokeRole}; whichever way one of the four roles ends, {RoleDismissed} says so.
     */
    function _revokeRole(bytes32 role, address account) internal override returns (bool revoked) {
        revoked = super._revokeRole(role, account);
        if (revoked && Roles.isKnown(role)) {
            emit RoleDismissed(role, account);
        }
    }

    /// @dev Requires that the parents are registered, and of the number and kind that an asset of `kind` has.
    function _requireParents(uint8 kind, bytes16[] calldata parents) private view {
        uint256 count = parents.length;
        if (!_isParentCount(kind, count)) revert AssetLedgerWrongParentCount(kind, count);

        for (uint256 i = 0; i < count; ++i) {
            bytes16 parent = parents[i];
            uint8 parentKind = _assets[parent].kind;
            if (parentKind == 0) revert AssetLedgerUnknownAsset(parent);
            // Each kind is made from the kind before it: model from dataset, trained model from model, and so on.
            if (parentKind != kind - 1) revert AssetLedgerWrongParent(kind, parent, parentKind);

            // Their order is that of the channels, so they cannot be asked to ascend, which would be cheaper to check.
            for (uint256 j = 0; j < i; ++j) {
                if (parents[j] == parent) revert AssetLedgerRepeatedParent(parent);
            }
        }
    }

    /// @dev Requires that `signature` is by an account that holds `neededRole`, and returns the account.
    function _requireAuthorizer(bytes32 structHash, bytes calldata signature, bytes32 neededRole)
        private
        view
        returns (address authorizer)
    {
        authorizer = ECDSA.recover(_hashTypedDataV4(structHash), signature);
        if (!hasRole(neededRole, authorizer)) revert AssetLedgerUnauthorizedAuthorizer(authorizer, neededRole);
    }

    /// @dev Requires that `candidate` is a contract that defines assets of `kind`.
    function _requireImplementation(uint8 kind, address candidate) private view returns (address) {
        if (candidate.code.length == 0 || IAsset(candidate).kind() != kind) {
            revert AssetLedgerInvalidImplementation(kind, candidate);
        }
        return candidate;
    }

    /// @dev Requires that `role` is one of the four.
    function _requireKnownRole(bytes32 role) private pure {
        if (!Roles.isKnown(role)) revert AssetLedgerUnknownRole(role);
    }

    /// @dev Whether an asset of `kind` can have `count` parents.
    function _isParentCount(uint8 kind, uint256 count) private pure returns (bool) {
        if (kind == AssetKinds.DATASET) return count == 0;
        if (kind == AssetKinds.MODEL) return count != 0 && count <= MAX_DATASETS;
        if (kind == AssetKinds.TRAINED_MODEL) return count <= 1;
        return count == 1;
    }

    /// @dev The role that registers assets of `kind` with `parentCount` parents.
    function _registrationRole(uint8 kind, uint256 parentCount) private pure returns (bytes32) {
        if (kind == AssetKinds.TRANSLATION) return TRANSLATOR_ROLE;
        if (kind == AssetKinds.TRAINED_MODEL && parentCount != 0) return TRAINER_ROLE;
        return REGISTRAR_ROLE;
    }

    /// @dev The EIP-712 struct hash; elements of an array are padded to 32 bytes each, also when packed.
    function _hashRegistration(Registration calldata registration) private pure returns (bytes32) {
        return keccak256(
            abi.encode(
                REGISTRATION_TYPEHASH,
                registration.id,
                registration.kind,
                registration.inventoryDigest,
                registration.recordDigest,
                keccak256(abi.encodePacked(registration.parents))
            )
        );
    }

    /// @dev The immutable arguments of an asset's contract, in the layout that `AssetDefinition` reads.
    function _metadata(Registration calldata registration, address authorizer)
        private
        pure
        returns (bytes memory metadata)
    {
        metadata =
            abi.encodePacked(registration.id, registration.inventoryDigest, registration.recordDigest, authorizer);
        for (uint256 i = 0; i < registration.parents.length; ++i) {
            metadata = bytes.concat(metadata, registration.parents[i]);
        }
    }
}
