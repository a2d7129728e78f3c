"""What fsck found: kinds of findings, and what was looked at. Pure."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

TEXTS_MAX = 200  # of each kind that are kept and shown

KINDS = {
    "away": "a device does not answer, or cannot be read",
    "read-only": "a device takes no writes",
    "log": "a log or an index is damaged",
    "count": "a table or statistic is not what is counted",
    "minority": "a register's newest version is not on a majority",
    "behind": "a replica lacks the newest version of registers",
    "stray": "a device holds registers that are not its own",
    "bad": "bytes that do not verify",
    "lost": "a blob cannot be put together from what there is",
    "incomplete": "a blob lacks pieces",
    "orphan": "a blob that nothing names, older than the sweep leaves them",
}


class Finding(NamedTuple):
    """One thing that is not as it should be."""

    kind: str
    text: str


class Report:
    """Everything that was found, and what was looked at."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.findings: list[Finding] = []
        self.notes: list[str] = []
        self.looked: dict[str, int] = dict.fromkeys(
            ("devices", "ranges", "registers", "records", "blobs", "pieces", "bytes"), 0
        )

    def find(self, kind: str, text: str) -> None:
        """Note a finding."""
        self.counts[kind] += 1
        if self.counts[kind] <= TEXTS_MAX:
            self.findings.append(Finding(kind, text))

    @property
    def clean(self) -> bool:
        """Nothing was found."""
        return not self.counts

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "clean": self.clean,
            "looked": self.looked,
            "counts": dict(self.counts),
            "findings": [one._asdict() for one in self.findings],
            "notes": self.notes,
        }
