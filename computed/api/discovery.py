"""`/` and `/v2.1`: which versions there are, and where; and the list of extensions that version 2 had."""

from __future__ import annotations

from typing import Any

from computed.api.extension_list import EXTENSIONS
from computed.version import MICROVERSIONS
from core.api.call import Call
from core.api.fault import Fault
from core.api.microversion import version_text
from core.api.route import OWN, PUBLIC, Route

UPDATED = "2013-07-23T11:33:21Z"


def version(call: Call) -> dict[str, Any]:
    """The one version's entry."""
    return {
        "id": "v2.1",
        "status": "CURRENT",
        "version": version_text(MICROVERSIONS.highest),
        "min_version": version_text(MICROVERSIONS.lowest),
        "updated": UPDATED,
        "links": [{"rel": "self", "href": call.url("v2.1", "")}],
    }


def old_version(call: Call) -> dict[str, Any]:
    """Version 2, which is 2.1 without microversions."""
    return {
        "id": "v2.0",
        "status": "SUPPORTED",
        "version": "",
        "min_version": "",
        "updated": "2011-01-21T11:33:21Z",
        "links": [{"rel": "self", "href": call.url("v2", "")}],
    }


class Discovery:
    """What is served."""

    def routes(self) -> list[Route]:
        """The entry points."""
        found = [
            Route("GET", "/", PUBLIC, self.all_versions),
            Route("GET", "/v2.1", PUBLIC, self.one),
        ]
        for top in ("/v2.1", "/v2.1/{url_project}"):
            found.append(Route("GET", f"{top}/extensions", OWN, self.extensions))
            found.append(Route("GET", f"{top}/extensions/{{alias}}", OWN, self.extension))
        return found

    async def all_versions(self, call: Call) -> dict[str, Any]:
        """All versions."""
        return {"versions": [old_version(call), version(call)]}

    async def one(self, call: Call) -> dict[str, Any]:
        """Version 2.1."""
        body = old_version(call) if "old" in call.request.context else version(call)
        body["links"].append(
            {"rel": "describedby", "type": "text/html", "href": "https://docs.openstack.org/"}
        )
        body["media-types"] = [
            {
                "base": "application/json",
                "type": "application/vnd.openstack.compute+json;version=2.1",
            }
        ]
        return {"version": body}

    async def extensions(self, call: Call) -> dict[str, Any]:
        """What version 2 called extensions: all of it is part of 2.1."""
        del call
        return {"extensions": [entry(alias, name) for alias, name in EXTENSIONS.items()]}

    async def extension(self, call: Call) -> dict[str, Any]:
        """One of them."""
        alias = call.variables["alias"]
        if alias not in EXTENSIONS:
            raise Fault(404, f"There is no extension {alias[:80]}.")
        return {"extension": entry(alias, EXTENSIONS[alias])}


def entry(alias: str, name: str) -> dict[str, Any]:
    """An extension as it is listed."""
    return {
        "alias": alias,
        "name": name,
        "description": f"{name} support.",
        "namespace": "http://docs.openstack.org/compute/ext/fake_xml",
        "updated": "2014-12-03T00:00:00Z",
        "links": [],
    }
