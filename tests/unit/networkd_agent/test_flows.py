"""Which connections end when a router translates otherwise."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from networkd.plan.flows import parse, stale
from networkd.port import FloatingAddress, Forwarding, Router, RouterPort

OWN, FLOATING, INSIDE, CLIENT = "203.0.113.10", "203.0.113.50", "10.0.0.5", "203.0.113.1"
GATEWAY = RouterPort("p", "n", "fa:16:3e:00:00:01", ((OWN, 24),))


def line(
    source: str, target: str, answer_source: str, answer_target: str, ports: str = "80 80"
) -> str:
    first, second = ports.split()
    return (
        f"tcp      6 117 ESTABLISHED src={source} dst={target} sport=1 dport={first} "
        f"src={answer_source} dst={answer_target} sport={second} dport=1 [ASSURED] mark=0 use=1\n"
    )


IN = line(CLIENT, FLOATING, INSIDE, CLIENT)
OUT = line(INSIDE, CLIENT, CLIENT, FLOATING)
SHARED = line(INSIDE, CLIENT, CLIENT, OWN)
HAIRPIN = line("10.0.0.6", FLOATING, INSIDE, OWN)
FORWARDED = line(CLIENT, OWN, INSIDE, CLIENT, "2222 22")


def router(inside: str = INSIDE, outside: str = FLOATING, **other: object) -> Router:
    floating = (FloatingAddress("f", outside, inside),)
    return Router("r", gateway=GATEWAY, floating=floating, **other)


def test_a_connection_that_would_be_translated_alike_goes_on() -> None:
    """In, out, by the router's own address, and back to the same side."""
    assert stale(IN + OUT + SHARED + HAIRPIN, router()) == []


def test_a_floating_address_that_has_gone_or_moved_takes_its_connections_along() -> None:
    """Those by the router's own address stay."""
    for changed in (
        router("10.0.0.9"),
        router(outside="203.0.113.51"),
        Router("r", gateway=GATEWAY),
    ):
        found = stale(IN + OUT + SHARED + HAIRPIN, changed)
        assert [one.target for one in found] == [FLOATING, CLIENT, FLOATING]


def test_forwarded_ports_count_with_their_ports() -> None:
    """Another inside port or none at all ends them."""

    def forwarding(low: int, high: int, inside: int) -> Router:
        ports = (inside, inside + high - low)
        one = Forwarding("w", OWN, "tcp", (low, high), INSIDE, ports)
        return Router("r", gateway=GATEWAY, forwardings=(one,))

    assert stale(FORWARDED, forwarding(2222, 2222, 22)) == []
    assert stale(FORWARDED, forwarding(2200, 2230, 0)) == []
    assert len(stale(FORWARDED, forwarding(2222, 2222, 23))) == 1
    assert len(stale(FORWARDED, Router("r", gateway=GATEWAY))) == 1


def test_connections_without_ports_are_known_too() -> None:
    """As `conntrack` shows ICMP."""
    text = (
        f"icmp     1 29 src={CLIENT} dst={FLOATING} type=8 code=0 id=5 "
        f"src={INSIDE} dst={CLIENT} type=0 code=0 id=5 mark=0 use=1\n"
    )
    assert stale(text, router()) == []
    assert len(stale(text, Router("r", gateway=GATEWAY))) == 1


@given(st.text(max_size=200))
def test_any_text_is_read(text: str) -> None:
    """What is no connection is passed over."""
    list(parse(text))
    list(parse(f"tcp src={text} dst=b src=c dst=d sport={text} dport=x sport=y"))
