"""Names of devices fit the kernel, values are what they say, and nothing else reaches a rule or a file."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from networkd.plan import names, values

ID = "0b6a8f1e-1234-4000-8000-00000000000a"
HOST = "rs-1a2b3c4d"


def test_names_fit_into_fifteen_characters() -> None:
    """The kernel's limit (IFNAMSIZ), and each kind is told apart by its beginning."""
    made = [names.bridge(ID), names.vxlan(ID), names.tap(ID), names.leg(ID), names.inner(ID)]
    made += [names.outlet("public"), names.outside(HOST, "public")]
    assert all(len(name) <= 15 for name in made)
    assert len(set(made)) == len(made)
    assert all(name.startswith(names.KINDS) for name in made[:-1])
    assert names.network_space(HOST, ID) == "rs-1a2b3c4d-n-0b6a8f1e"
    assert names.router_space(HOST, ID) == "rs-1a2b3c4d-r-0b6a8f1e"
    assert names.mark(HOST) == "1a2b3c4d"


@given(st.sets(st.uuids().map(str), max_size=30), st.uuids().map(str))
def test_numbers_differ_and_hardly_change(ids: set[str], another: str) -> None:
    """One more id takes no number away from the others, unless its own meets one of theirs."""
    before, after = names.numbered(ids), names.numbered(ids | {another})
    assert len(set(after.values())) == len(after)
    assert all(0 < number <= names.NUMBERS for number in after.values())
    moved = [one for one in before if before[one] != after[one]]
    assert len(moved) <= 1


def test_numbers_that_meet_are_told_apart() -> None:
    """Of 2,000 ids several meet among 32,767 numbers."""
    numbers = names.numbered(str(number) for number in range(2000))
    assert len(set(numbers.values())) == 2000
    with pytest.raises(ValueError, match="more than one host"):
        names.numbered(str(number) for number in range(20_000))


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (values.identifier, ID, f"{ID}\n"),
        (values.identifier, ID.replace("-", ""), "../../etc"),
        (values.mac, "fa:16:3e:00:00:01", "fa:16:3e:00:00:01 accept"),
        (values.label, "web-1", "web.1"),
        (values.label, "a" * 63, "-a"),
        (values.option_name, "tftp-server", "tftp server"),
        (values.option_name, "150", "1500"),
        (values.option_value, "http://a/b?c=d", "a\nb"),
        (values.option_value, "10.0.0.1,10.0.0.2", 'a"b'),
        (values.device, "br-ex", "br ex"),
        (values.address, "2001:db8::1", "10.0.0.1; flush ruleset"),
        (values.cidr, "10.0.0.0/8", "10.0.0.0/33"),
        (values.interface, "10.0.0.1/24", "10.0.0/24"),
    ],
)
def test_values_are_what_they_say(check: object, good: str, bad: str) -> None:
    """A bad one raises, whatever it is."""
    assert callable(check)
    assert check(good)
    with pytest.raises(ValueError):
        check(bad)


@given(st.text(max_size=40))
def test_no_text_slips_a_control_character_through(text: str) -> None:
    """Whatever passes has no line break, quote or comment."""
    for check in (values.option_value, values.label, values.mac, values.address, values.device):
        try:
            passed = check(text)
        except ValueError:
            continue
        assert passed.isprintable()
        assert not set(passed) & set("\"'#\\{}$`")


def test_networks_collapse() -> None:
    """Overlaps, which nft refuses in a set, become one."""
    found = values.collapsed(["10.0.0.0/25", "10.0.0.128/25", "10.0.0.7", "2001:db8::1"], 4)
    assert found == ["10.0.0.0/24"]
    assert values.collapsed(["10.0.0.7", "2001:db8::1"], 6) == ["2001:db8::1/128"]


def test_link_local_address_of_a_mac() -> None:
    """RFC 4291 appendix A."""
    assert values.link_local("fa:16:3e:00:0a:01") == "fe80::f816:3eff:fe00:a01"
