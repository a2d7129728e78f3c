"""Tracked connections that a router's translations no longer allow. Pure.

A connection keeps the translation that it began with. When a floating address or a forwarded port is taken away or given to
another guest, connections by it end, or they would go on to the old one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from networkd.plan.translation import own_address
from networkd.port import Router

ANY_PORT = -1


class Flow(NamedTuple):
    """A translated connection as `conntrack -L` shows it: its own direction, then what the answers look like."""

    protocol: str
    source: str
    target: str
    target_port: int
    answer_source: str
    answer_port: int
    answer_target: str


def parse(text: str) -> Iterator[Flow]:
    """The connections of a listing; lines that are none are passed over."""
    for line in text.splitlines():
        words = line.split()
        pairs = [word.partition("=") for word in words if "=" in word]
        values = {
            key: [value for name, _, value in pairs if name == key]
            for key in ("src", "dst", "sport", "dport")
        }
        if len(values["src"]) != 2 or len(values["dst"]) != 2:
            continue
        yield Flow(
            words[0],
            values["src"][0],
            values["dst"][0],
            _port(values["dport"][:1]),
            values["src"][1],
            _port(values["sport"][1:]),
            values["dst"][1],
        )


def _port(found: list[str]) -> int:
    return int(found[0]) if found and found[0].isdecimal() else ANY_PORT


def allowed(flow: Flow, router: Router) -> bool:
    """The router would translate the connection in the same way today."""
    if flow.target != flow.answer_source and not _inward(flow, router):
        return False
    return flow.source == flow.answer_target or _outward(flow, router)


def _inward(flow: Flow, router: Router) -> bool:
    if any(
        (flow.target, flow.answer_source) == (one.outside, one.inside) for one in router.floating
    ):
        return True
    for one in router.forwardings:
        low, high = one.outside_ports
        shift = one.inside_ports[0] - low
        same = (flow.protocol, flow.target, flow.answer_source) == (
            one.protocol,
            one.outside,
            one.inside,
        )
        if (
            same
            and low <= flow.target_port <= high
            and flow.answer_port == flow.target_port + shift
        ):
            return True
    return False


def _outward(flow: Flow, router: Router) -> bool:
    if flow.answer_target == own_address(router):
        return True  # translated so by the router itself, or a hairpin
    return any(
        (flow.source, flow.answer_target) == (one.inside, one.outside) for one in router.floating
    )


def stale(text: str, router: Router) -> list[Flow]:
    """The connections of a listing that end now."""
    return [flow for flow in parse(text) if not allowed(flow, router)]
