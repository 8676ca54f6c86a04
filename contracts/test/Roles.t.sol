// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";

import {IAssetLedger} from "../src/IAssetLedger.sol";
import {Roles} from "../src/Roles.sol";
import {LedgerTest} from "./support/LedgerTest.sol";
import {Vm} from "./support/Test.sol";

contract RolesTest is LedgerTest {
    bytes32[4] private roles = [Roles.REGISTRAR, Roles.TRAINER, Roles.TRANSLATOR, Roles.VERIFIER];
    address private account = vm.addr(7);
    bytes32 private constant KEY_DIGEST = keccak256("key");

    function test_TheRolesAreKnownByTheirNames() public view {
        assertEq(ledger.REGISTRAR_ROLE(), keccak256("REGISTRAR_ROLE"), "registrar");
        assertEq(ledger.TRAINER_ROLE(), keccak256("TRAINER_ROLE"), "trainer");
        assertEq(ledger.TRANSLATOR_ROLE(), keccak256("TRANSLATOR_ROLE"), "translator");
        assertEq(ledger.VERIFIER_ROLE(), keccak256("VERIFIER_ROLE"), "verifier");
    }

    // Appointing

    function test_AppointingGrantsTheRoleAndRecordsTheSigningKey() public {
        for (uint256 i = 0; i < roles.length; ++i) {
            vm.expectEmit(address(ledger));
            emit IAccessControl.RoleGranted(roles[i], account, ADMIN);
            vm.expectEmit(address(ledger));
            emit IAssetLedger.RoleAppointed(roles[i], account, KEY_DIGEST);
            vm.prank(ADMIN);
            ledger.appoint(roles[i], account, KEY_DIGEST);

            assertTrue(ledger.hasRole(roles[i], account), "role");
            assertEq(ledger.signingKeyDigest(roles[i], account), KEY_DIGEST, "signing key");
        }
    }

    function test_ARoleCanHaveSeveralHolders() public {
        vm.prank(ADMIN);
        ledger.appoint(Roles.TRAINER, account, KEY_DIGEST);
        assertTrue(ledger.hasRole(Roles.TRAINER, account), "new");
        assertTrue(ledger.hasRole(Roles.TRAINER, vm.addr(TRAINER_KEY)), "old");
    }

    function test_AppointingAgainChangesNothing() public {
        vm.recordLogs();
        appoint(Roles.TRAINER, TRAINER_KEY);
        assertEq(vm.getRecordedLogs().length, 0, "events");
        assertTrue(ledger.hasRole(Roles.TRAINER, vm.addr(TRAINER_KEY)), "role");
    }

    function test_AppointingReinstatesWhoWasDismissed() public {
        dismiss(Roles.TRAINER, vm.addr(TRAINER_KEY));
        vm.expectEmit(address(ledger));
        emit IAssetLedger.RoleAppointed(Roles.TRAINER, vm.addr(TRAINER_KEY), keyDigest(TRAINER_KEY));
        appoint(Roles.TRAINER, TRAINER_KEY);
        assertTrue(ledger.hasRole(Roles.TRAINER, vm.addr(TRAINER_KEY)), "role");
    }

    function testFuzz_RevertWhen_AppointedWithAnotherSigningKey(bytes32 other, bool dismissed) public {
        address trainer = vm.addr(TRAINER_KEY);
        vm.assume(other != 0 && other != keyDigest(TRAINER_KEY));
        if (dismissed) dismiss(Roles.TRAINER, trainer);

        vm.expectRevert(
            abi.encodeWithSelector(
                IAssetLedger.AssetLedgerSigningKeyAlreadySet.selector, Roles.TRAINER, trainer, keyDigest(TRAINER_KEY)
            )
        );
        vm.prank(ADMIN);
        ledger.appoint(Roles.TRAINER, trainer, other);
        assertEq(ledger.signingKeyDigest(Roles.TRAINER, trainer), keyDigest(TRAINER_KEY), "signing key");
    }

    function test_AnAccountHasASigningKeyForEachRole() public {
        vm.prank(ADMIN);
        ledger.appoint(Roles.VERIFIER, vm.addr(TRAINER_KEY), KEY_DIGEST);
        assertEq(ledger.signingKeyDigest(Roles.TRAINER, vm.addr(TRAINER_KEY)), keyDigest(TRAINER_KEY), "trainer");
        assertEq(ledger.signingKeyDigest(Roles.VERIFIER, vm.addr(TRAINER_KEY)), KEY_DIGEST, "verifier");
    }

    function testFuzz_RevertWhen_TheRoleToAppointIsUnknown(bytes32 role) public {
        vm.assume(!Roles.isKnown(role));
        vm.expectRevert(abi.encodeWithSelector(IAssetLedger.AssetLedgerUnknownRole.selector, role));
        vm.prank(ADMIN);
        ledger.appoint(role, account, KEY_DIGEST);
    }

    function test_RevertWhen_TheAdministratorIsAppointedAsARole() public {
        vm.expectRevert(abi.encodeWithSelector(IAssetLedger.AssetLedgerUnknownRole.selector, bytes32(0)));
        vm.prank(ADMIN);
        ledger.appoint(0x00, account, KEY_DIGEST);
    }

    function test_RevertWhen_TheAccountIsZero() public {
        vm.expectRevert(abi.encodeWithSelector(IAssetLedger.AssetLedgerInvalidAccount.selector, address(0)));
        vm.prank(ADMIN);
        ledger.appoint(Roles.TRAINER, address(0), KEY_DIGEST);
    }

    function test_RevertWhen_TheSigningKeyDigestIsZero() public {
        vm.expectRevert(abi.encodeWithSelector(IAssetLedger.AssetLedgerInvalidSigningKeyDigest.selector, bytes32(0)));
        vm.prank(ADMIN);
        ledger.appoint(Roles.TRAINER, account, 0);
    }

    function testFuzz_RevertWhen_AnotherThanTheAdministratorAppoints(address caller) public {
        vm.assume(caller != ADMIN);
        expectNotAdmin(caller);
        vm.prank(caller);
        ledger.appoint(Roles.TRAINER, account, KEY_DIGEST);
    }

    // Dismissing

    function test_DismissingTakesTheRoleAndKeepsTheSigningKey() public {
        address trainer = vm.addr(TRAINER_KEY);
        vm.expectEmit(address(ledger));
        emit IAccessControl.RoleRevoked(Roles.TRAINER, trainer, ADMIN);
        vm.expectEmit(address(ledger));
        emit IAssetLedger.RoleDismissed(Roles.TRAINER, trainer);
        dismiss(Roles.TRAINER, trainer);

        assertFalse(ledger.hasRole(Roles.TRAINER, trainer), "role");
        assertEq(ledger.signingKeyDigest(Roles.TRAINER, trainer), keyDigest(TRAINER_KEY), "signing key");
    }

    function test_DismissingAgainChangesNothing() public {
        dismiss(Roles.TRAINER, vm.addr(TRAINER_KEY));
        vm.recordLogs();
        dismiss(Roles.TRAINER, vm.addr(TRAINER_KEY));
        assertEq(vm.getRecordedLogs().length, 0, "events");
    }

    function test_RevertWhen_WhoIsDismissedWasNeverAppointed() public {
        vm.expectRevert(abi.encodeWithSelector(IAssetLedger.AssetLedgerNotAppointed.selector, Roles.TRAINER, account));
        dismiss(Roles.TRAINER, account);
    }

    function testFuzz_RevertWhen_TheRoleToDismissIsUnknown(bytes32 role) public {
        vm.assume(!Roles.isKnown(role));
        vm.expectRevert(abi.encodeWithSelector(IAssetLedger.AssetLedgerUnknownRole.selector, role));
        dismiss(role, account);
    }

    function testFuzz_RevertWhen_AnotherThanTheAdministratorDismisses(address caller) public {
        vm.assume(caller != ADMIN);
        address trainer = vm.addr(TRAINER_KEY);
        expectNotAdmin(caller);
        vm.prank(caller);
        ledger.dismiss(Roles.TRAINER, trainer);
    }

    // The ways around

    function test_RevertWhen_ARoleIsGrantedWithoutAppointment() public {
        for (uint256 i = 0; i < roles.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IAssetLedger.AssetLedgerAppointmentRequired.selector, roles[i]));
            vm.prank(ADMIN);
            ledger.grantRole(roles[i], account);
        }
    }

    function test_RevokingARoleIsDismissing() public {
        address trainer = vm.addr(TRAINER_KEY);
        vm.expectEmit(address(ledger));
        emit IAssetLedger.RoleDismissed(Roles.TRAINER, trainer);
        vm.prank(ADMIN);
        ledger.revokeRole(Roles.TRAINER, trainer);
        assertFalse(ledger.hasRole(Roles.TRAINER, trainer), "role");
    }

    function test_RenouncingARoleIsDismissing() public {
        address trainer = vm.addr(TRAINER_KEY);
        vm.expectEmit(address(ledger));
        emit IAssetLedger.RoleDismissed(Roles.TRAINER, trainer);
        vm.prank(trainer);
        ledger.renounceRole(Roles.TRAINER, trainer);
        assertFalse(ledger.hasRole(Roles.TRAINER, trainer), "role");
    }

    function test_TheAdministrationCanBeHandedOver() public {
        bytes32 adminRole = ledger.DEFAULT_ADMIN_ROLE();
        vm.recordLogs();
        vm.prank(ADMIN);
        ledger.grantRole(adminRole, account);
        vm.prank(account);
        ledger.revokeRole(adminRole, ADMIN);
        assertNoAppointmentIn(vm.getRecordedLogs());

        expectNotAdmin(ADMIN);
        vm.prank(ADMIN);
        ledger.appoint(Roles.TRAINER, account, KEY_DIGEST);
        vm.prank(account);
        ledger.appoint(Roles.TRAINER, account, KEY_DIGEST);
    }

    // Helpers

    function dismiss(bytes32 role, address holder) private {
        vm.prank(ADMIN);
        ledger.dismiss(role, holder);
    }

    function expectNotAdmin(address caller) private {
        vm.expectRevert(
            abi.encodeWithSelector(IAccessControl.AccessControlUnauthorizedAccount.selector, caller, bytes32(0))
        );
    }

    function assertNoAppointmentIn(Vm.Log[] memory logs) private pure {
        for (uint256 i = 0; i < logs.length; ++i) {
            assertTrue(logs[i].topics[0] != IAssetLedger.RoleAppointed.selector, "appointed");
            assertTrue(logs[i].topics[0] != IAssetLedger.RoleDismissed.selector, "dismissed");
        }
    }
}
