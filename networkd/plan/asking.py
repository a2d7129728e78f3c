"""Who asks for metadata: the port that has an address in a network. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from networkd.plan import values
from networkd.plan.network import SERVICE
from networkd.port import HostState


class Askers:
    """Guests' ports by network and address."""

    def __init__(self, state: HostState) -> None:
        self._ports: dict[tuple[str, str], str] = {}
        for network in state.networks:
            for port in network.ports:
                if port.owner and not port.owner.startswith(SERVICE):
                    for one in port.addresses:
                        self._ports[network.id, one.address] = port.id

    def owner(self, networks: Iterable[str], address: str) -> str | None:
        """The port with that address in the first of the networks where there is one."""
        try:
            plain = values.address(address.partition("%")[0])
        except ValueError:
            return None
        return next((found for one in networks if (found := self._ports.get((one, plain)))), None)
