// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {AssetKinds} from "../src/AssetKinds.sol";
import {AssetLedger} from "../src/AssetLedger.sol";
import {IAssetLedger} from "../src/IAssetLedger.sol";
import {Roles} from "../src/Roles.sol";
import {IAsset} from "../src/assets/IAsset.sol";
import {LedgerTest} from "./support/LedgerTest.sol";

contract RegistrationTest is LedgerTest {
    function setUp() public override {
        super.setUp();
        registerChain();
    }

    // What registering does

    function test_EveryKindIsRegistered() public view {
        bytes16[4] memory ids = [DATASET, MODEL, TRAINED_MODEL, TRANSLATION];
        for (uint8 kind = 1; kind <= 4; ++kind) {
            IAssetLedger.Asset memory found = ledger.find(ids[kind - 1]);
            assertEq(found.kind, kind, "kind");
            assertEq(found.registeredAt, block.timestamp, "time");
            assertFalse(found.revoked, "revoked");
            assertEq(IAsset(found.contract_).id(), ids[kind - 1], "id in the contract");
        }
    }

    function test_AnUnknownAssetIsFoundAsZeros() public view {
        assertEq(abi.encode(ledger.find("unknown")), new bytes(128), "found");
    }

    function test_AnybodyMayCarryARegistration() public {
        IAssetLedger.Registration memory registration = asset("carried", AssetKinds.DATASET);
        bytes memory signature = sign(REGISTRAR_KEY, registration);

        vm.prank(vm.addr(STRANGER_KEY));
        address contract_ = ledger.register(registration, signature);

        assertEq(ledger.find("carried").contract_, contract_, "contract");
        assertEq(IAsset(contract_).authorizer(), vm.addr(REGISTRAR_KEY), "authorizer");
    }

    function test_RegisteringIsAnnounced() public {
        IAssetLedger.Registration memory registration = asset("announced", AssetKinds.MODEL, DATASET);
        address predicted = ledger.predict(registration, vm.addr(REGISTRAR_KEY));
        bytes memory signature = sign(REGISTRAR_KEY, registration);

        vm.expectEmit(address(ledger));
        emit IAssetLedger.AssetRegistered(
            "announced",
            AssetKinds.MODEL,
            predicted,
            vm.addr(REGISTRAR_KEY),
            registration.inventoryDigest,
            registration.recordDigest,
            registration.parents
        );
        ledger.register(registration, signature);
    }

    function test_AnImportedModelIsRegisteredByTheRegistrar() public {
        register(asset("imported", AssetKinds.TRAINED_MODEL), REGISTRAR_KEY);
        assertEq(ledger.find("imported").kind, AssetKinds.TRAINED_MODEL, "kind");
    }

    function test_AnImportedModelCanBeTranslated() public {
        register(asset("imported", AssetKinds.TRAINED_MODEL), REGISTRAR_KEY);
        register(asset("its translation", AssetKinds.TRANSLATION, "imported"), TRANSLATOR_KEY);
        assertEq(ledger.find("its translation").kind, AssetKinds.TRANSLATION, "kind");
    }

    function test_AModelKeepsTheOrderOfItsDatasets() public {
        bytes16[] memory datasets = registerDatasets("dataset/", 32);
        for (uint256 i = 0; i < 16; ++i) {
            (datasets[i], datasets[31 - i]) = (datasets[31 - i], datasets[i]);
        }
        address model = register(asset("32 datasets", AssetKinds.MODEL, datasets), REGISTRAR_KEY);
        assertEq(IAsset(model).parents(), datasets, "parents");
    }

    function test_ARevokedParentIsAccepted() public {
        revoke(DATASET);
        register(asset("made from it", AssetKinds.MODEL, DATASET), REGISTRAR_KEY);
        assertEq(ledger.find("made from it").kind, AssetKinds.MODEL, "kind");
    }

    // Requirements: id and kind

    function test_RevertWhen_TheIdIsZero() public {
        IAssetLedger.Registration memory registration = asset(0, AssetKinds.DATASET);
        bytes memory signature = sign(REGISTRAR_KEY, registration);
        vm.expectRevert(abi.encodeWithSelector(IAssetLedger.AssetLedgerInvalidId.selector, bytes16(0)));
        ledger.register(registration, signature);
    }

    function test_RevertWhen_TheAssetIsRegistered() public {
        IAssetLedger.Registration memory registration = asset(DATASET, AssetKinds.DATASET);
        bytes memory signature = sign(REGISTRAR_KEY, registration);
        vm.expectRevert(abi.encodeWithSelector(IAssetLedger.AssetLedgerAlreadyRegistered.selector, DATASET));
        ledger.register(registration, signature);
    }

    function test_RevertWhen_TheIdIsTakenByAnAssetOfAnotherKind() public {
        IAssetLedger.Registration memory registration = asset(DATASET, AssetKinds.TRAINED_MODEL);
        bytes memory signature = sign(REGISTRAR_KEY, registration);
        vm.expectRevert(abi.encodeWithSelector(IAssetLedger.AssetLedgerAlreadyRegistered.selector, DATASET));
        ledger.register(registration, signature);
    }

    function testFuzz_RevertWhen_TheKindIsNone(uint8 kind) public {
        vm.assume(kind == 0 || kind > 4);
        IAssetLedger.Registration memory registration = asset("kindless", kind, DATASET);
        bytes memory signature = sign(REGISTRAR_KEY, registration);
        vm.expectRevert(abi.encodeWithSelector(IAssetLedger.AssetLedgerInvalidKind.selector, kind));
        ledger.register(registration, signature);
    }

    // Requirements: parents

    function test_RevertWhen_TheNumberOfParentsIsWrong() public {
        bytes16[] memory datasets = registerDatasets("dataset/", 33);
        bytes16[] memory models = new bytes16[](2);
        models[0] = MODEL;
        models[1] = "another model";
        register(asset(models[1], AssetKinds.MODEL, DATASET), REGISTRAR_KEY);

        expectWrongCount(AssetKinds.DATASET, asArray(DATASET));
        expectWrongCount(AssetKinds.MODEL, new bytes16[](0));
        expectWrongCount(AssetKinds.MODEL, datasets);
        expectWrongCount(AssetKinds.TRAINED_MODEL, models);
        expectWrongCount(AssetKinds.TRANSLATION, new bytes16[](0));
        expectWrongCount(AssetKinds.TRANSLATION, models);
    }

    function test_RevertWhen_AParentIsUnknown() public {
        expectUnknownParent(AssetKinds.MODEL, REGISTRAR_KEY);
        expectUnknownParent(AssetKinds.TRAINED_MODEL, TRAINER_KEY);
        expectUnknownParent(AssetKinds.TRANSLATION, TRANSLATOR_KEY);
    }

    function test_RevertWhen_AParentIsZero() public {
        IAssetLedger.Registration memory registration = asset("child", AssetKinds.MODEL, bytes16(0));
        bytes memory signature = sign(REGISTRAR_KEY, registration);
        vm.expectRevert(abi.encodeWithSelector(IAssetLedger.AssetLedgerUnknownAsset.selector, bytes16(0)));
        ledger.register(registration, signature);
    }

    function test_RevertWhen_AnAssetIsItsOwnParent() public {
        IAssetLedger.Registration memory registration = asset("self", AssetKinds.MODEL, "self");
        bytes memory signature = sign(REGISTRAR_KEY, registration);
        vm.expectRevert(abi.encodeWithSelector(IAssetLedger.AssetLedgerUnknownAsset.selector, bytes16("self")));
        ledger.register(registration, signature);
    }

    /// @dev Every pair of kinds that is not "made from the kind before".
    function test_RevertWhen_AParentIsOfTheWrongKind() public {
        bytes16[4] memory ids = [DATASET, MODEL, TRAINED_MODEL, TRANSLATION];
        for (uint8 kind = AssetKinds.MODEL; kind <= AssetKinds.TRANSLATION; ++kind) {
            for (uint8 parentKind = 1; parentKind <= 4; ++parentKind) {
                if (parentKind == kind - 1) continue;
                IAssetLedger.Registration memory registration = asset("child", kind, ids[parentKind - 1]);
                bytes memory signature = sign(registeringKey(kind), registration);
                vm.expectRevert(
                    abi.encodeWithSelector(
                        IAssetLedger.AssetLedgerWrongParent.selector, kind, ids[parentKind - 1], parentKind
                    )
                );
                ledger.register(registration, signature);
            }
        }
    }

    function testFuzz_RevertWhen_AParentIsRepeated(uint256 count, uint256 first, uint256 second) public {
        count = bound(count, 2, 32);
        first = bound(first, 0, count - 2);
        second = bound(second, first + 1, count - 1);
        bytes16[] memory datasets = registerDatasets("dataset/", count);
        datasets[second] = datasets[first];

        IAssetLedger.Registration memory registration = asset("child", AssetKinds.MODEL, datasets);
        bytes memory signature = sign(REGISTRAR_KEY, registration);
        vm.expectRevert(abi.encodeWithSelector(IAssetLedger.AssetLedgerRepeatedParent.selector, datasets[first]));
        ledger.register(registration, signature);
    }

    // Requirements: who signs

    /// @dev Each kind, signed by each role: exactly one may.
    function test_RevertWhen_AnotherRoleSigns() public {
        expectOnly(asset("child", AssetKinds.DATASET), REGISTRAR_KEY, Roles.REGISTRAR);
        expectOnly(asset("child", AssetKinds.MODEL, DATASET), REGISTRAR_KEY, Roles.REGISTRAR);
        expectOnly(asset("child", AssetKinds.TRAINED_MODEL), REGISTRAR_KEY, Roles.REGISTRAR);
        expectOnly(asset("child", AssetKinds.TRAINED_MODEL, MODEL), TRAINER_KEY, Roles.TRAINER);
        expectOnly(asset("child", AssetKinds.TRANSLATION, TRAINED_MODEL), TRANSLATOR_KEY, Roles.TRANSLATOR);
    }

    function test_RevertWhen_TheAdministratorSigns() public {
        IAssetLedger.Registration memory registration = asset("child", AssetKinds.DATASET);
        bytes memory signature = sign(100, registration);
        expectUnauthorized(100, Roles.REGISTRAR);
        vm.prank(ADMIN);
        ledger.register(registration, signature);
    }

    function test_RevertWhen_TheSignerWasDismissed() public {
        IAssetLedger.Registration memory registration = asset("child", AssetKinds.DATASET);
        bytes memory signature = sign(REGISTRAR_KEY, registration);
        vm.prank(ADMIN);
        ledger.dismiss(Roles.REGISTRAR, vm.addr(REGISTRAR_KEY));

        expectUnauthorized(REGISTRAR_KEY, Roles.REGISTRAR);
        ledger.register(registration, signature);

        appoint(Roles.REGISTRAR, REGISTRAR_KEY);
        ledger.register(registration, signature);
    }

    function test_RevertWhen_TheSignatureIsNot65Bytes() public {
        IAssetLedger.Registration memory registration = asset("child", AssetKinds.DATASET);
        (bytes32 r, bytes32 s, uint8 v) = split(sign(REGISTRAR_KEY, registration));
        bytes32 compact = bytes32(uint256(s) | (uint256(v - 27) << 255));

        vm.expectRevert(abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureLength.selector, 64));
        ledger.register(registration, abi.encodePacked(r, compact));
        vm.expectRevert(abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureLength.selector, 66));
        ledger.register(registration, abi.encodePacked(r, s, v, v));
        vm.expectRevert(abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureLength.selector, 0));
        ledger.register(registration, "");
    }

    function testFuzz_RevertWhen_TheSignatureIsMalleated(bytes16 id, bytes32 inventoryDigest) public {
        vm.assume(id != 0 && ledger.find(id).kind == 0);
        IAssetLedger.Registration memory registration = asset(id, AssetKinds.DATASET);
        registration.inventoryDigest = inventoryDigest;
        bytes memory signature = malleate(sign(REGISTRAR_KEY, registration));

        (, bytes32 s,) = split(signature);
        vm.expectRevert(abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureS.selector, s));
        ledger.register(registration, signature);
    }

    function testFuzz_RevertWhen_ASignatureIsMadeUp(bytes32 r, bytes32 s, uint8 v) public {
        IAssetLedger.Registration memory registration = asset("child", AssetKinds.DATASET);
        (bool success,) =
            address(ledger).call(abi.encodeCall(AssetLedger.register, (registration, abi.encodePacked(r, s, v))));
        assertFalse(success, "accepted");
        assertEq(ledger.find("child").kind, 0, "registered");
    }

    /// @dev Nothing of what was signed can be exchanged by the carrier.
    function testFuzz_RevertWhen_TheRegistrationIsNotTheSignedOne(uint256 field, bytes32 other) public {
        IAssetLedger.Registration memory registration = asset("child", AssetKinds.MODEL, DATASET);
        bytes32 signed = hash(registration);
        bytes memory signature = sign(REGISTRAR_KEY, registration);

        field = bound(field, 0, 4);
        if (field == 0) registration.id = bytes16(other);
        if (field == 1) registration = asset("child", AssetKinds.TRAINED_MODEL);
        if (field == 2) registration.inventoryDigest = other;
        if (field == 3) registration.recordDigest = other;
        if (field == 4) registration.parents = registerDatasets("dataset/", bound(uint256(other), 1, 3));
        vm.assume(hash(registration) != signed && registration.id != 0 && ledger.find(registration.id).kind == 0);

        assertUnauthorized(
            address(ledger),
            abi.encodeCall(AssetLedger.register, (registration, signature)),
            IAssetLedger.AssetLedgerUnauthorizedAuthorizer.selector
        );
    }

    // Addresses

    function testFuzz_TheAddressIsPredicted(bytes16 id, bytes32 inventoryDigest, bytes32 recordDigest, uint256 count)
        public
    {
        bytes16[] memory datasets = registerDatasets("dataset/", bound(count, 1, 5));
        vm.assume(id != 0 && ledger.find(id).kind == 0);
        IAssetLedger.Registration memory registration =
            IAssetLedger.Registration(id, AssetKinds.MODEL, inventoryDigest, recordDigest, datasets);

        address predicted = ledger.predict(registration, vm.addr(REGISTRAR_KEY));
        assertEq(predicted.code.length, 0, "nothing there before");
        assertEq(register(registration, REGISTRAR_KEY), predicted, "address");
        assertEq(ledger.predict(registration, vm.addr(REGISTRAR_KEY)), predicted, "the same afterwards");
    }

    function test_TheAddressDependsOnTheAuthorizer() public view {
        IAssetLedger.Registration memory registration = asset("child", AssetKinds.DATASET);
        assertTrue(ledger.predict(registration, vm.addr(REGISTRAR_KEY)) != ledger.predict(registration, ADMIN), "same");
    }

    function test_RevertWhen_PredictingNoKind() public {
        vm.expectRevert(abi.encodeWithSelector(IAssetLedger.AssetLedgerInvalidKind.selector, 5));
        ledger.predict(asset("child", 5), ADMIN);
    }

    // Helpers

    function registeringKey(uint8 kind) private pure returns (uint256) {
        if (kind == AssetKinds.TRANSLATION) return TRANSLATOR_KEY;
        return kind == AssetKinds.TRAINED_MODEL ? TRAINER_KEY : REGISTRAR_KEY;
    }

    function asArray(bytes16 id) private pure returns (bytes16[] memory ids) {
        ids = new bytes16[](1);
        ids[0] = id;
    }

    function expectWrongCount(uint8 kind, bytes16[] memory parents) private {
        IAssetLedger.Registration memory registration = asset("child", kind, parents);
        bytes memory signature = sign(registeringKey(kind), registration);
        vm.expectRevert(abi.encodeWithSelector(IAssetLedger.AssetLedgerWrongParentCount.selector, kind, parents.length));
        ledger.register(registration, signature);
    }

    function expectUnknownParent(uint8 kind, uint256 key) private {
        IAssetLedger.Registration memory registration = asset("child", kind, "unknown");
        bytes memory signature = sign(key, registration);
        vm.expectRevert(abi.encodeWithSelector(IAssetLedger.AssetLedgerUnknownAsset.selector, bytes16("unknown")));
        ledger.register(registration, signature);
    }

    function expectOnly(IAssetLedger.Registration memory registration, uint256 allowed, bytes32 role) private {
        for (uint256 key = REGISTRAR_KEY; key <= STRANGER_KEY; ++key) {
            if (key == allowed) continue;
            bytes memory signature = sign(key, registration);
            expectUnauthorized(key, role);
            ledger.register(registration, signature);
        }
        registration.id = bytes16(keccak256(abi.encode(registration)));
        register(registration, allowed);
    }
}
