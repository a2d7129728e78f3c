"""Which ports hosts have been told of, by version of their state: a report about a version speaks of these alone.

It is remembered for the last few versions of each host and lost with the process; a version that nobody remembers is
taken to have held everything, because what it lacked would be told again soon.
"""

from __future__ import annotations

from collections import OrderedDict

from networkd.port import HostState

VERSIONS_MAX = 16


class Told:
    """Ports by host and version."""

    def __init__(self) -> None:
        self._hosts: dict[str, OrderedDict[str, frozenset[str]]] = {}

    def remember(self, state: HostState) -> None:
        """A host has been told a state."""
        versions = self._hosts.setdefault(state.host, OrderedDict())
        if state.version not in versions:
            ports = (port.id for network in state.networks for port in network.ports)
            versions[state.version] = frozenset(ports)
        versions.move_to_end(state.version)
        while len(versions) > VERSIONS_MAX:
            versions.popitem(last=False)

    def may_know(self, host: str, version: str, port_id: str) -> bool:
        """Whether a host that has done what a version says may have known of a port."""
        versions = self._hosts.get(host)
        ports = None if versions is None else versions.get(version)
        return ports is None or port_id in ports
