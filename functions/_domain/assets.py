"""Assets, the unit of sharing: their kinds, and the record that says what each is."""

from enum import StrEnum


class Kind(StrEnum):
    """The four kinds of asset; ``number`` is the ledger's."""

    DATASET = "dataset"
    MODEL = "model"
    TRAINED_MODEL = "trained-model"
    TRANSLATION = "translation"

    @property
    def number(self) -> int:
        """The kind on the ledger, from 1."""
        return list(Kind).index(self) + 1

    @classmethod
    def numbered(cls, number: int) -> "Kind":
        """The kind that has this number on the ledger."""
        return list(cls)[number - 1]

    @property
    def role(self) -> str:
        """The role that may register this kind (a trained model without a parent is the registrar's)."""
        return {"dataset": "registrar", "model": "registrar", "trained-model": "trainer", "translation": "translator"}[
            self.value
        ]


def sealing_claim(kind: Kind, has_parents: bool) -> str:
    """What whoever seals an asset of a kind states of it; a trained model without a parent was imported."""
    if kind is Kind.TRAINED_MODEL and not has_parents:
        return "registration"
    return {Kind.TRAINED_MODEL: "training", Kind.TRANSLATION: "translation"}.get(kind, "registration")


RECORD_SCHEMA = "polyglot/record/v1"
