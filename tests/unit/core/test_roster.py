"""The list of nodes: who may be on it, and what can never come back."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Conflict, Corrupt, NotFound, Refused
from core.roster import Member, Roster, Signed, decode_signed, encode_signed, signed_bytes


def member(number: int) -> Member:
    return Member(f"n{number}", f"tls:10.0.0.{number}:7100", number, 1)


LIST = Roster(1, "n1", ()).with_member(member(1)).with_member(member(2))


def test_each_change_is_a_new_version() -> None:
    """So that two nodes can tell which of them has the newer list."""
    assert LIST.version == 3
    assert LIST.without("n2").version == 4
    assert LIST.admits("n2")
    assert not LIST.admits("n3")


def test_a_removed_name_never_comes_back() -> None:
    """Its certificate still exists somewhere."""
    gone = LIST.without("n2")
    assert not gone.admits("n2")
    assert gone.removed == ("n2",)
    with pytest.raises(Conflict, match="was removed"):
        gone.with_member(member(2))


def test_names_and_addresses_are_given_once() -> None:
    """Two nodes of one name would be one failure domain and one certificate."""
    with pytest.raises(Conflict, match="a node n2 already"):
        LIST.with_member(Member("n2", "tls:h:1", 1, 1))
    with pytest.raises(Conflict, match="another node listens"):
        LIST.with_member(Member("n3", "tls:10.0.0.2:7100", 1, 1))


def test_the_keeper_and_strangers_are_not_removed() -> None:
    """Without the keeper nobody could sign the next list."""
    with pytest.raises(Refused, match="keeper"):
        LIST.without("n1")
    with pytest.raises(NotFound):
        LIST.without("n9")


@pytest.mark.parametrize("name", ["", "a/b", "-x", "x" * 65, "a b", "x\n"])
def test_names_that_the_ring_would_refuse_are_refused(name: str) -> None:
    """A node without a usable name could have no devices."""
    with pytest.raises(Refused, match="letters"):
        LIST.with_member(Member(name, "tls:h:1", 1, 1))


@pytest.mark.parametrize("address", ["", "h:1", "unix:/x", "tls:h", "tls:h:0", "tls:h:65536"])
def test_addresses_that_cannot_be_reached_are_refused(address: str) -> None:
    """From another machine."""
    with pytest.raises(Refused, match="HOST:PORT"):
        LIST.with_member(Member("n3", address, 1, 1))


def test_a_list_is_read_back() -> None:
    """With its signature."""
    signed = Signed(LIST.without("n2"), b"s" * 64)
    assert decode_signed(encode_signed(signed)) == signed


def test_the_file_is_as_documented() -> None:
    """Every key in docs/formats/node.md, in its order, and no other."""
    text = (Path(__file__).parents[3] / "docs" / "formats" / "node.md").read_text()
    table = text[text.index("## The list of nodes") : text.index("## Join tokens")]
    keys = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    document = json.loads(encode_signed(Signed(LIST, b"s" * 64)))
    assert list(document) == ["roster", "signature"]
    assert list(document["roster"]) == keys
    assert "{" + ", ".join(document["roster"]["members"][0]) + "}" in table
    assert signed_bytes(LIST).startswith(b'ringstack roster\0{"version":3,"keeper":"n1",')


@given(st.binary(max_size=300))
def test_anything_else_is_corrupt(data: bytes) -> None:
    """Never another exception."""
    with pytest.raises(Corrupt):
        decode_signed(data)
