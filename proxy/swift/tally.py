"""What a bulk request has done so far: counts, failures by name, and when to stop. Pure."""

from __future__ import annotations

from typing import Any

from core.errors import RingstackError
from proxy.swift.errors import status_line, status_of
from proxy.swift.names import quoted
from proxy.swift.report import Report


class Tally:
    """What a bulk request has done so far."""

    def __init__(self, failures_max: int) -> None:
        self.deleted = 0
        self.missing = 0
        self.errors: list[tuple[str, str]] = []
        self.worst = 400
        self._failures_max = failures_max

    def fail(self, name: str, error: RingstackError) -> None:
        """Note a failure."""
        status = status_of(error)
        if status >= 500:
            self.worst = 502
        self.errors.append((quoted(name), status_line(status)))

    @property
    def full(self) -> bool:
        """So much has failed that going on makes no sense."""
        return len(self.errors) >= self._failures_max

    def deletes(self) -> Report:
        """Report of deletes."""
        fields: dict[str, Any] = {
            "Number Deleted": self.deleted,
            "Number Not Found": self.missing,
            "Response Body": "",
            "Response Status": status_line(200),
        }
        if self.full:
            fields["Response Status"] = status_line(400)
            fields["Response Body"] = "Max delete failures exceeded"
        elif self.errors:
            fields["Response Status"] = status_line(self.worst)
        elif not (self.deleted or self.missing):
            fields["Response Status"] = status_line(400)
            fields["Response Body"] = "Invalid bulk delete."
        return fields, self.errors
