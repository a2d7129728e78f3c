"""A router's rules: what it translates, and what it does not let pass. Pure.

One table of the inet family in the router's namespace. Floating addresses are translated both ways, also for guests on the same
side (whose answers have to come back through the router); the rest of what leaves is given the router's own address.
What comes in from outside unasked reaches only what is translated to, when the router translates.
"""

from __future__ import annotations

from networkd.plan import answering, names, values
from networkd.plan.plan import Table
from networkd.port import Forwarding, Router

FAMILY, NAME = "inet", "rs_router"
OUTSIDE_MARK = "0x2"
METADATA = "169.254.169.254"


def _range(ports: tuple[int, int]) -> str:
    low, high = ports
    if not 1 <= low <= high <= 65_535:
        raise ValueError(f"{ports} is no range of ports")
    return str(low) if low == high else f"{low}-{high}"


def forwarding_rule(one: Forwarding) -> str:
    """The rule of one port forwarding. A range becomes the range of equal length beside it. Raises ValueError."""
    if one.protocol not in {"tcp", "udp", "sctp", "dccp"}:
        raise ValueError(f"{one.protocol[:80]!r} is no protocol of port forwarding")
    outside, inside = values.address(one.outside), values.address(one.inside)
    low, high = one.outside_ports
    first = one.inside_ports[0]
    _range(one.inside_ports)
    if one.inside_ports[1] - first != high - low:
        raise ValueError("the two ranges differ in length")
    match = f"ip daddr {outside} meta l4proto {one.protocol} "
    if low == high:
        return f"{match}th dport {_range((low, high))} dnat ip to {inside}:{first}"
    if first == low:
        return f"{match}th dport {_range((low, high))} dnat ip to {inside}"
    pairs = ", ".join(f"{low + n} : {inside} . {first + n}" for n in range(high - low + 1))
    return f"{match}dnat ip to th dport map {{ {pairs} }}"


def _address_map(name: str, pairs: list[tuple[str, str]]) -> list[str]:
    content = ", ".join(f"{key} : {value}" for key, value in sorted(pairs))
    elements = f"elements = {{ {content} }}; " if content else ""
    return [f"map {name} {{ type ipv4_addr : ipv4_addr; {elements}}}"]


def own_address(router: Router) -> str:
    """The address that a router translates to; empty when it has none of version 4."""
    found = router.gateway.addresses if router.gateway else ()
    return next((values.address(one) for one, _ in found if values.version(one) == 4), "")


def _incoming(router: Router, gateway: str) -> list[str]:
    lines = ["chain incoming { type nat hook prerouting priority -100; policy accept;"]
    if gateway:
        lines += [
            forwarding_rule(one) for one in sorted(router.forwardings, key=lambda one: one.id)
        ]
        lines.append("dnat ip to ip daddr map @floating_in")
    return [*lines, "}"]


def _outgoing(router: Router, gateway: str) -> list[str]:
    lines = ["chain outgoing { type nat hook postrouting priority 100; policy accept;"]
    own = own_address(router)
    if gateway:
        lines.append(f'oifname "{gateway}" snat ip to ip saddr map @floating_out')
        # a guest that asks for a floating address of its own side: the answer has to come through here
        hairpin = f'oifname != "{gateway}" ct status dnat meta mark != {OUTSIDE_MARK}'
        lines.append(f"{hairpin} snat ip to ip saddr map @floating_out")
        if own:
            lines.append(f"{hairpin} meta nfproto ipv4 snat ip to {own}")
        if own and router.translate:
            lines.append(f'oifname "{gateway}" ip saddr != {own} snat ip to {own}')
    return [*lines, "}"]


def _passing(router: Router, gateway: str) -> list[str]:
    lines = [
        "chain marks { type filter hook prerouting priority -150; policy accept;",
        "meta mark set 0",
    ]
    if gateway:
        lines.append(f'iifname "{gateway}" meta mark set {OUTSIDE_MARK}')
        lines.append(f'iifname "{gateway}" ip daddr {METADATA} drop')
    lines += ["}", "chain passing { type filter hook forward priority 0; policy accept;"]
    if gateway and router.translate:
        lines.append(
            f'iifname "{gateway}" meta nfproto ipv4 ct state new ct status ! dnat '
            f'oifname != "{gateway}" drop'
        )
    return [*lines, "}"]


def table(router: Router) -> Table:
    """A router's table. Raises ValueError."""
    gateway = names.inner(router.gateway.port_id) if router.gateway else ""
    floating = [
        (values.address(one.outside), values.address(one.inside)) for one in router.floating
    ]
    # of two outside addresses of one inside address the lower one speaks
    outward = {inside: outside for outside, inside in sorted(floating, reverse=True)}
    lines = [
        *_address_map("floating_in", floating),
        *_address_map("floating_out", list(outward.items())),
        *_passing(router, gateway),
        *answering.lines("udp dport 547 drop"),  # DHCPv6 is the networks' own affair
        *_incoming(router, gateway),
        *_outgoing(router, gateway),
    ]
    return Table(FAMILY, NAME, "\n".join(lines))
