"""What can be wrong, as exceptions. Each names the file (`path`) and the fault (`fault`, one word that stays the same)."""

from __future__ import annotations

from typing import Dict, Tuple, Type


class CohortiumError(Exception):
    """A fault of a release or of a log."""

    def __init__(self, path: str, fault: str, sentence: str) -> None:
        super().__init__(sentence)
        self.path = path
        self.fault = fault

    def __reduce__(self) -> Tuple[Type["CohortiumError"], Tuple[str, str, str]]:
        return (type(self), (self.path, self.fault, str(self)))


class ReleaseFault(CohortiumError):
    """The folder of a release does not verify. Nothing of it may be used."""


class FileFault(ReleaseFault):
    """A file is missing, cannot be read, is too long, or does not belong to a release. Was the folder copied whole?"""


class AnchorFault(ReleaseFault):
    """It is a release of another consortium than the anchor names."""


class SignatureFault(ReleaseFault):
    """A document is damaged, or is not signed by the keys that may sign it."""


class CharterFault(ReleaseFault):
    """The chain of charters is not one that stands, or a node record is not of its party."""


class StatementFault(ReleaseFault):
    """What is signed does not fit its charter or its project."""


class BodyFault(ReleaseFault):
    """A file of rows is not the one that the statement names."""


class LedgerFault(ReleaseFault):
    """The entries of the operator's journal, or the proofs that they are in its log, are not of this release."""


class RowsFault(CohortiumError):
    """A release that was verified gives no rows, or cannot be written in this form."""


class LogFault(CohortiumError):
    """A log does not verify: the first file that is wrong."""


_CLASSES: Dict[str, Type[ReleaseFault]] = {
    "missing": FileFault, "unreadable": FileFault, "too-long": FileFault, "stranger": FileFault,
    "anchor": AnchorFault,
    "wrong-type": SignatureFault, "signature-order": SignatureFault, "signature-invalid": SignatureFault,
    "signer-missing": SignatureFault, "malformed": SignatureFault, "trailing": SignatureFault,
    "not-canonical": SignatureFault, "strange-signature": SignatureFault, "expired": SignatureFault,
    "chain": CharterFault, "not-in-force": CharterFault, "consortium": CharterFault, "party": CharterFault,
    "charter": StatementFault, "project": StatementFault, "not-of-project": StatementFault, "floor": StatementFault,
    "recipient": StatementFault, "words": StatementFault,
    "account": StatementFault, "epsilon-of-token": StatementFault, "epsilon-of-person": StatementFault,
    "body": BodyFault,
    "entry": LedgerFault, "entry-differs": LedgerFault, "leaf": LedgerFault, "proof": LedgerFault,
}  # fmt: skip


def of_release(path: str, fault: str, sentence: str) -> ReleaseFault:
    """The exception of a fault, by its word. A word that this version does not know is a fault all the same."""
    return _CLASSES.get(fault, ReleaseFault)(path, fault, sentence)


def of_rows(path: str, fault: str, sentence: str) -> RowsFault:
    return RowsFault(path, fault, sentence)


def of_log(path: str, fault: str, sentence: str) -> LogFault:
    return LogFault(path, fault, sentence)
