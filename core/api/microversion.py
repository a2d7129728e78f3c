"""Microversions: a client asks for `SERVICE x.y` in one header and is told which one answered. Pure.

As the API working group's guideline has it: no header means the lowest version, `latest` the highest; several services
may share the header, separated by commas. What is no version is 400, what is not spoken here 406.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from core.api.fault import Fault, bad_request

HEADER = "openstack-api-version"
VERSION = re.compile(r"([1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3})")

Version = tuple[int, int]


def version_text(version: Version) -> str:
    """`3.27`."""
    return f"{version[0]}.{version[1]}"


class Microversions(NamedTuple):
    """The versions that a service speaks. `service` is its type, as the header names it."""

    service: str
    lowest: Version
    highest: Version

    def chosen(self, header: str | None) -> Version:
        """The version for a request with this header. Raises Fault 400 or 406."""
        wanted = self._wanted(header or "")
        if wanted is None:
            return self.lowest
        if wanted == "latest":
            return self.highest
        found = VERSION.fullmatch(wanted)
        if found is None:
            raise bad_request(f"API Version String '{wanted[:80]}' is of invalid format.")
        version = (int(found[1]), int(found[2]))
        if not self.lowest <= version <= self.highest:
            raise Fault(
                406,
                f"Version {wanted} is not supported by the API. Minimum is {version_text(self.lowest)}"
                f" and maximum is {version_text(self.highest)}.",
            )
        return version

    def _wanted(self, header: str) -> str | None:
        for part in header.split(","):
            service, _, wanted = part.strip().partition(" ")
            if service.lower() == self.service:
                return wanted.strip()
        return None

    def headers(self, version: Version) -> list[tuple[str, str]]:
        """What an answer says about the version that made it."""
        return [
            ("OpenStack-API-Version", f"{self.service} {version_text(version)}"),
            ("Vary", "OpenStack-API-Version"),
        ]
