// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AssetLedger} from "../src/AssetLedger.sol";
import {IAssetLedger} from "../src/IAssetLedger.sol";
import {Roles} from "../src/Roles.sol";
import {LedgerTest} from "./support/LedgerTest.sol";

contract ConstructionTest is LedgerTest {
    function test_OnlyTheGivenAccountAdministers() public view {
        assertTrue(ledger.hasRole(0x00, ADMIN), "administrator");
        assertFalse(ledger.hasRole(0x00, address(this)), "deployer");
        assertFalse(ledger.hasRole(Roles.REGISTRAR, ADMIN), "no role comes with it");
    }

    function test_TheDomainsAreThoseThatRolesSignFor() public view {
        (, string memory name, string memory version, uint256 chainId, address verifyingContract,,) =
            ledger.eip712Domain();
        assertEq(
            abi.encode(name, version, chainId, verifyingContract),
            abi.encode("AssetLedger", "1", block.chainid, address(ledger)),
            "ledger"
        );
        (, name, version, chainId, verifyingContract,,) = log.eip712Domain();
        assertEq(
            abi.encode(name, version, chainId, verifyingContract),
            abi.encode("EvidenceLog", "1", block.chainid, address(log)),
            "log"
        );
    }

    function test_RevertWhen_TheAdministratorIsZero() public {
        address[4] memory implementations = implementationsOf(ledger);
        vm.expectRevert(abi.encodeWithSelector(IAssetLedger.AssetLedgerInvalidAdmin.selector, address(0)));
        new AssetLedger(address(0), implementations);
    }

    function test_RevertWhen_AnImplementationIsNoContract() public {
        for (uint8 kind = 1; kind <= 4; ++kind) {
            address[4] memory implementations = implementationsOf(ledger);
            implementations[kind - 1] = vm.addr(7);
            vm.expectRevert(
                abi.encodeWithSelector(
                    IAssetLedger.AssetLedgerInvalidImplementation.selector, kind, implementations[kind - 1]
                )
            );
            new AssetLedger(ADMIN, implementations);
        }
    }

    function test_RevertWhen_ImplementationsAreExchanged() public {
        address[4] memory implementations = implementationsOf(ledger);
        (implementations[1], implementations[2]) = (implementations[2], implementations[1]);
        vm.expectRevert(
            abi.encodeWithSelector(IAssetLedger.AssetLedgerInvalidImplementation.selector, 2, implementations[1])
        );
        new AssetLedger(ADMIN, implementations);
    }

    function testFuzz_RevertWhen_TheKindHasNoImplementation(uint8 kind) public {
        vm.assume(kind == 0 || kind > 4);
        vm.expectRevert(abi.encodeWithSelector(IAssetLedger.AssetLedgerInvalidKind.selector, kind));
        ledger.implementation(kind);
    }

    function implementationsOf(AssetLedger ledger_) private view returns (address[4] memory implementations) {
        for (uint8 kind = 1; kind <= 4; ++kind) {
            implementations[kind - 1] = ledger_.implementation(kind);
        }
    }
}
