// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";

import {AssetKinds} from "../src/AssetKinds.sol";
import {IAssetLedger} from "../src/IAssetLedger.sol";
import {IAsset, IDatasetAsset, IModelAsset, ITrainedModelAsset, ITranslationAsset} from "../src/assets/IAsset.sol";
import {LedgerTest} from "./support/LedgerTest.sol";

contract AssetsTest is LedgerTest {
    function setUp() public override {
        super.setUp();
        registerChain();
    }

    // What a contract answers

    function testFuzz_AContractAnswersWhatWasRegistered(
        bytes16 id,
        bytes32 inventoryDigest,
        bytes32 recordDigest,
        uint256 count
    ) public {
        bytes16[] memory datasets = registerDatasets("dataset/", bound(count, 1, 32));
        vm.assume(id != 0 && ledger.find(id).kind == 0);
        IModelAsset model = IModelAsset(
            register(
                IAssetLedger.Registration(id, AssetKinds.MODEL, inventoryDigest, recordDigest, datasets), REGISTRAR_KEY
            )
        );

        assertEq(model.id(), id, "id");
        assertEq(model.kind(), AssetKinds.MODEL, "kind");
        assertEq(model.inventoryDigest(), inventoryDigest, "inventory digest");
        assertEq(model.recordDigest(), recordDigest, "record digest");
        assertEq(model.parents(), datasets, "parents");
        assertEq(model.datasets(), datasets, "datasets");
        assertEq(model.authorizer(), vm.addr(REGISTRAR_KEY), "authorizer");
    }

    function testFuzz_AContractMatchesItsInventoryOnly(bytes32 inventoryDigest, bytes32 other) public {
        vm.assume(other != inventoryDigest);
        IAssetLedger.Registration memory registration = asset("matched", AssetKinds.DATASET);
        registration.inventoryDigest = inventoryDigest;
        IAsset dataset = IAsset(register(registration, REGISTRAR_KEY));

        assertTrue(dataset.matches(inventoryDigest), "its own");
        assertFalse(dataset.matches(other), "another");
    }

    function test_ADatasetHasNoParents() public view {
        IDatasetAsset dataset = IDatasetAsset(contractOf(DATASET));
        assertEq(dataset.kind(), AssetKinds.DATASET, "kind");
        assertEq(dataset.parents().length, 0, "parents");
        assertEq(dataset.authorizer(), vm.addr(REGISTRAR_KEY), "authorizer");
    }

    function test_ATrainedModelNamesItsModel() public view {
        ITrainedModelAsset trainedModel = ITrainedModelAsset(contractOf(TRAINED_MODEL));
        assertEq(trainedModel.kind(), AssetKinds.TRAINED_MODEL, "kind");
        assertTrue(trainedModel.trained(), "trained");
        assertEq(trainedModel.model(), MODEL, "model");
        assertEq(trainedModel.authorizer(), vm.addr(TRAINER_KEY), "authorizer");
    }

    function test_AnImportedModelWasNotTrained() public {
        ITrainedModelAsset imported =
            ITrainedModelAsset(register(asset("imported", AssetKinds.TRAINED_MODEL), REGISTRAR_KEY));
        assertFalse(imported.trained(), "trained");
        assertEq(imported.authorizer(), vm.addr(REGISTRAR_KEY), "authorizer");

        vm.expectRevert(
            abi.encodeWithSelector(ITrainedModelAsset.TrainedModelAssetNotTrained.selector, bytes16("imported"))
        );
        imported.model();
    }

    function test_ATranslationNamesItsSource() public view {
        ITranslationAsset translation = ITranslationAsset(contractOf(TRANSLATION));
        assertEq(translation.kind(), AssetKinds.TRANSLATION, "kind");
        assertEq(translation.source(), TRAINED_MODEL, "source");
        assertEq(translation.authorizer(), vm.addr(TRANSLATOR_KEY), "authorizer");
    }

    // What a contract is

    /// @dev Byte for byte: ERC-1167, then the metadata. This is what proofs of an asset compare code hashes with.
    function test_TheCodeIsAProxyFollowedByTheMetadata() public view {
        IAssetLedger.Registration memory registration = asset(MODEL, AssetKinds.MODEL, DATASET);
        assertEq(
            contractOf(MODEL).code,
            abi.encodePacked(
                hex"363d3d373d3d3d363d73",
                ledger.implementation(AssetKinds.MODEL),
                hex"5af43d82803e903d91602b57fd5bf3",
                MODEL,
                registration.inventoryDigest,
                registration.recordDigest,
                vm.addr(REGISTRAR_KEY),
                DATASET
            ),
            "code"
        );
    }

    function test_TheAddressIsThatOfItsCodeAndId() public view {
        bytes memory code = contractOf(MODEL).code;
        bytes memory initCode = abi.encodePacked(hex"61", uint16(code.length), hex"3d81600a3d39f3", code);
        bytes32 address_ = keccak256(abi.encodePacked(hex"ff", address(ledger), bytes32(MODEL), keccak256(initCode)));
        assertEq(contractOf(MODEL), address(uint160(uint256(address_))), "address");
    }

    function test_NoContractCanSendDestroyOrDelegate() public view {
        for (uint8 kind = 1; kind <= 4; ++kind) {
            assertOnlyReads(ledger.implementation(kind).code);
        }
    }

    // A contract that was not deployed for an asset

    function test_RevertWhen_AnImplementationIsAsked() public {
        for (uint8 kind = 1; kind <= 4; ++kind) {
            address implementation = ledger.implementation(kind);
            assertEq(IAsset(implementation).kind(), kind, "kind");
            expectNoMetadata(implementation, abi.encodeCall(IAsset.id, ()));
            expectNoMetadata(implementation, abi.encodeCall(IAsset.inventoryDigest, ()));
            expectNoMetadata(implementation, abi.encodeCall(IAsset.recordDigest, ()));
            expectNoMetadata(implementation, abi.encodeCall(IAsset.parents, ()));
            expectNoMetadata(implementation, abi.encodeCall(IAsset.authorizer, ()));
            expectNoMetadata(implementation, abi.encodeCall(IAsset.matches, (0)));
        }
        expectNoMetadata(ledger.implementation(2), abi.encodeCall(IModelAsset.datasets, ()));
        expectNoMetadata(ledger.implementation(3), abi.encodeCall(ITrainedModelAsset.trained, ()));
        expectNoMetadata(ledger.implementation(3), abi.encodeCall(ITrainedModelAsset.model, ()));
        expectNoMetadata(ledger.implementation(4), abi.encodeCall(ITranslationAsset.source, ()));
    }

    function testFuzz_RevertWhen_AProxyHasTooLittleMetadata(uint256 length) public {
        address proxy = Clones.cloneWithImmutableArgs(ledger.implementation(1), new bytes(bound(length, 0, 99)));
        expectNoMetadata(proxy, abi.encodeCall(IAsset.id, ()));
        expectNoMetadata(proxy, abi.encodeCall(IAsset.parents, ()));
    }

    /// @dev Anybody can deploy a look-alike. Its address differs, and the ledger does not know it.
    function test_ALookAlikeIsNotTheAssetsContract() public {
        bytes memory code = contractOf(DATASET).code;
        bytes memory metadata = new bytes(code.length - 45);
        for (uint256 i = 0; i < metadata.length; ++i) {
            metadata[i] = code[45 + i];
        }
        address lookAlike = Clones.cloneDeterministicWithImmutableArgs(
            ledger.implementation(AssetKinds.DATASET), metadata, bytes32(DATASET)
        );

        assertEq(lookAlike.codehash, contractOf(DATASET).codehash, "it looks alike");
        assertTrue(lookAlike != contractOf(DATASET), "but is elsewhere");
    }

    // Helpers

    function contractOf(bytes16 id) private view returns (address) {
        return ledger.find(id).contract_;
    }

    function expectNoMetadata(address target, bytes memory callData) private {
        (bool success, bytes memory result) = target.call(callData);
        assertFalse(success, "it answered");
        assertEq(result, abi.encodeWithSelector(IAsset.AssetWithoutMetadata.selector, target), "error");
    }

    /// @dev Walks the instructions, over the constants that PUSH takes from the code.
    function assertOnlyReads(bytes memory code) private pure {
        for (uint256 i = 0; i < code.length; ++i) {
            uint8 opcode = uint8(code[i]);
            assertTrue(opcode != 0x55, "SSTORE");
            assertTrue(opcode != 0x54, "SLOAD");
            assertTrue(opcode < 0xf0 || opcode == 0xf3 || opcode == 0xfd || opcode == 0xfe, "call or SELFDESTRUCT");
            if (opcode >= 0x60 && opcode <= 0x7f) i += opcode - 0x5f;
        }
    }
}
