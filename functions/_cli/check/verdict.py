"""The check itself: strict bundle, proven ledger, examined lineage, compared files; each step needs the one before.

Nothing in a bundle may be idle: what no step needed is a finding too, so that every field of it counts.
"""

import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from functions._backends.proofs.proven import ProvenLedger
from functions._backends.signatures import KeySignatures
from functions._cli.check import bundle as bundles
from functions._cli.check import trust as trusts
from functions._cli.check.files import Compared, Comparison
from functions._domain.assets import Kind, sealing_claim
from functions._domain.authorizations import Authorization, decode, is_address
from functions._domain.bundles import AssetPart, Bundle
from functions._domain.digests import canonical, digest_of
from functions._domain.errors import RejectedContent
from functions._domain.evidence import VERIFIED, authorization_order, parents_first, statement_order
from functions._domain.inventory import read as read_inventory
from functions._domain.provenance import Examined, Examiner
from functions._domain.statements import ROLES, Evidence
from functions._domain.trust import Trust

Item = TypeVar("Item")


@dataclass(frozen=True)
class Verification:
    """A verification that the ledger has: its statement, and when it was recorded, in seconds since 1970."""

    claim: str
    statement: Evidence
    time: int


@dataclass(frozen=True)
class Checked:
    """What a check came to: ``problems`` of the bundle, ``files`` of the files; ``lineage`` has the subject last."""

    subject: str
    problems: tuple[str, ...] = ()
    lineage: tuple[Examined, ...] = ()
    verifications: tuple[Verification, ...] = ()
    files: Compared | None = None
    ledger: ProvenLedger | None = None
    anchor: trusts.Anchor | None = None
    signers: tuple[trusts.Signer, ...] = field(default=())
    trust: Trust | None = None

    @property
    def is_consistent(self) -> bool:
        """Whether nothing was found wrong."""
        return not self.problems and not (self.files and self.files.problems)


def check(path: Path, files: Path | None, trust: Trust | None) -> Checked:
    """Check a bundle, and the subject's files where a folder is given.

    Raises:
        UnavailableNewer: a newer platform wrote it.
    """
    document: object = None
    try:
        document = bundles.load(path.read_bytes())
        comparison = begun(document, files) if files else None
        found = _bundle(bundles.parse(document), trust)
    except RejectedContent as error:
        return _refused(document, str(error))
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        # Whatever hostile bytes provoke is the bytes' fault; every one of them was to be refused by name.
        return _refused(document, f"not of the form that this platform writes ({error!r})")
    compared = comparison.result() if comparison else None
    return Checked(**{**found.__dict__, "files": compared})


def _refused(document: object, problem: str) -> Checked:
    subject = document.get("subject") if isinstance(document, dict) else None
    return Checked(str(subject or "unknown"), (problem,))


def begun(document: object, folder: Path) -> Comparison:
    """Begin to digest files, before anything of the bundle is known to be true.

    Raises:
        RejectedContent: there is no inventory to compare with.
    """
    try:
        inventory = document["assets"][-1]["inventory"]  # type: ignore[index]
        lines = list(read_inventory([inventory.encode()]))
    except (AttributeError, IndexError, KeyError, TypeError, UnicodeEncodeError) as error:
        raise RejectedContent(f"not a bundle: the subject's inventory is not there ({error!r})") from error
    return Comparison(folder, lines).start()


def _bundle(bundle: Bundle, trust: Trust | None) -> Checked:
    proven, parts = ProvenLedger(bundle.ledger), {UUID(part.id): part for part in bundle.assets}
    authorizations = {asset: _authorizations(part) for asset, part in parts.items()}
    stated = {asset: bundles.statements(part) for asset, part in parts.items()}
    signers = tuple(sorted({signer for asset in parts for signer in _signers(authorizations[asset], stated[asset])}))
    ledger = trusts.JudgedLedger(proven, trust, signers)
    examiner = Examiner(bundles.BundleReader(bundle), ledger, KeySignatures())
    lineage = parents_first(list(examiner.lineage(UUID(bundle.subject))))
    problems = [*(trusts.problems(trust, proven, signers) if trust else ())]
    problems += [problem for one in lineage for problem in one.problems]
    if [str(one.id) for one in lineage] != [part.id for part in bundle.assets]:
        problems.append("the bundle does not hold exactly the subject and its ancestors, parents first")
    for one in lineage:
        if one.contract and one.id in parts:
            problems += _part_problems(examiner, one, parts[one.id], authorizations[one.id], stated[one.id])
    problems += [f"the bundle proves what it does not need: {name}" for name in proven.unused()]
    verifications = _verifications(ledger, lineage[-1].id, stated.get(lineage[-1].id, []))
    return Checked(
        bundle.subject, tuple(problems), tuple(lineage), tuple(verifications), None, proven,
        trusts.anchor(trust, proven), signers, trust,
    )  # fmt: skip


def _authorizations(part: AssetPart) -> list[Authorization]:
    """An asset's authorizations. Raises RejectedContent where one is not written exactly as it is stored."""
    found = [decode(canonical(one)) for one in part.authorizations]
    for one, document in zip(found, part.authorizations, strict=True):
        if one.encode() != canonical(document):
            raise RejectedContent(f"an authorization of {part.id} is not of the form that is stored")
    return found


def _signers(authorizations: Sequence[Authorization], stated: Sequence[tuple[str, Evidence]]) -> set[trusts.Signer]:
    """Whose keys count for an asset. Raises RejectedContent where a statement does not name an account."""
    signed = {(ROLES.get(claim, claim), str(statement.signer.get("account"))) for claim, statement in stated}
    for role, account in signed:
        if not is_address(account):
            raise RejectedContent(f"a statement is signed by {account!r} as {role}, which is no account")
    return signed | {(one.role, one.account) for one in authorizations}


def _part_problems(
    examiner: Examiner,
    found: Examined,
    part: AssetPart,
    authorizations: Sequence[Authorization],
    stated: Sequence[tuple[str, Evidence]],
) -> Iterator[str]:
    """What is idle, twice or out of place in one asset's part, and what is wrong with its verifications."""
    assert found.contract is not None
    name, contract = f"{found.contract.kind} {part.id}", found.contract
    claims = [claim for claim, _ in stated]
    if claims[0] != sealing_claim(contract.kind, bool(contract.parents)) or not set(claims[1:]) <= set(VERIFIED):
        yield f"{name}: its evidence is not the sealing step's statement and then verifications"
    for claim, statement in stated[1:]:
        for problem in examiner.evidence_problems(found.id, contract, claim, statement, authorizations):
            yield f"{name}: {problem}"
        if (statement.predicate.get("claim"), statement.predicate.get("asset")) != (claim, part.id):
            yield f"{name}: a verification is of another claim or asset"
    if _distinct_in_order(stated[1:], statement_order) != len(stated) - 1:
        yield f"{name}: its verifications are not each there once, in order"
    if _distinct_in_order(authorizations, authorization_order) != len(stated) + 1 + contract.revoked:
        yield f"{name}: its authorizations are not each there once, in order, and no other beside them"
    if digest_of(part.inventory.encode()) != contract.inventory_digest:
        yield f"{name}: the inventory is not the registered one"
    if (part.revocation is not None) != contract.revoked:
        yield f"{name}: the reason of its revocation is missing, or not needed"
    yield from _signature_problems(found, part, name)


def _distinct_in_order(items: Sequence[Item], order: Callable[[Item], Any]) -> int:
    """How many items there are, where each is there once and they are in order; else -1."""
    keys = [order(item) for item in items]
    return len(keys) if keys == sorted(set(keys)) else -1


def _signature_problems(found: Examined, part: AssetPart, name: str) -> Iterator[str]:
    outputs = found.statement.predicate.get("outputs", {}) if found.statement else {}
    if (part.model_signature is None) != (outputs.get("signature") is None):
        yield f"{name}: its model signature is missing, or not needed"
    if part.model_signature is not None:
        try:
            again = base64.b64encode(base64.b64decode(part.model_signature, validate=True)).decode()
        except ValueError:
            again = ""
        if again != part.model_signature:
            yield f"{name}: its model signature is not written in Base64 as it is stored"
    if (part.imported_signature is None) == bool(found.record and found.record.get("imported_signature")):
        yield f"{name}: the signature that it came with is missing, or not needed"


def _verifications(
    ledger: trusts.JudgedLedger, subject: UUID, stated: Sequence[tuple[str, Evidence]]
) -> list[Verification]:
    """What the platform verified of the subject, the latest first."""
    found = []
    for claim, statement in stated[1:]:
        recorded = ledger.recorded(subject, claim, statement.digest)
        if recorded:
            found.append(Verification(claim, statement, recorded.time))
    return sorted(found, key=lambda one: one.time, reverse=True)


def kind_of(found: Examined) -> Kind:
    """The kind of an examined asset, which is on the ledger."""
    assert found.contract is not None
    return found.contract.kind
