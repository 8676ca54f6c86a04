// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "./support/Test.sol";

/**
 * @dev What Python deploys is what these tests ran. If one fails: `node script/generate.mjs`.
 */
contract GeneratedTest is Test {
    function test_TheGeneratedBytecodeIsForges() public view {
        string[6] memory names =
            ["AssetLedger", "EvidenceLog", "DatasetAsset", "ModelAsset", "TrainedModelAsset", "TranslationAsset"];
        for (uint256 i = 0; i < names.length; ++i) {
            string memory json = vm.readFile(string.concat("../functions/_backends/abi/", names[i], ".json"));
            string memory artifact = string.concat(names[i], ".sol:", names[i]);
            assertEq(vm.parseJsonBytes(json, ".bytecode"), vm.getCode(artifact), names[i]);
            assertEq(vm.parseJsonBytes(json, ".deployedBytecode"), vm.getDeployedCode(artifact), names[i]);
        }
    }
}
