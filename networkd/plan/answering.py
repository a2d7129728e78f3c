"""What the namespaces of networks and routers answer themselves: no guest holds more than its share of metadata's connections. Pure."""

from __future__ import annotations

from networkd.plan.plan import Table

FAMILY, NAME = "inet", "rs_service"
CONNECTIONS_MAX = 16  # of one address


def lines(*more: str) -> list[str]:
    """The set and the chain of what is for the namespace itself."""
    return [
        "set askers { type ipv4_addr; size 65535; flags dynamic; }",
        "chain answering { type filter hook input priority 0; policy accept;",
        f"tcp dport 80 ct state new add @askers {{ ip saddr ct count over {CONNECTIONS_MAX} }} drop",
        *more,
        "}",
    ]


def table() -> Table:
    """The rules of a network's namespace."""
    return Table(FAMILY, NAME, "\n".join(lines()))
