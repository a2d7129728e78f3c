"""Letting machines in and putting nodes out, on the keeper's files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from core.errors import Conflict, Corrupt, Refused
from core.installation import Installation
from core.roster import Member, decode_signed, encode_signed
from core.trust import AUTHORITY_KEY, KEY, ROSTER, Trust
from noded import authority, keeper, wire
from noded.keeper import TOKEN_S
from noded.main import forget_old_devices
from ring.store import RingStore
from tests.unit.noded.cluster import NOW_US, add_node, application, make_keeper


@pytest.fixture
def alpha(tmp_path: Path) -> Installation:
    return make_keeper(tmp_path / "alpha")


def test_a_machine_joins_with_its_devices_staged(alpha: Installation, tmp_path: Path) -> None:
    """It gets certificate, list, ring and secrets; the ring moves nothing yet."""
    key = alpha.keys / "1"
    key.parent.mkdir(parents=True)
    key.write_text("00" * 32)
    beta = add_node(alpha, tmp_path / "beta", "beta")
    assert (beta.keys / "1").read_bytes() == key.read_bytes()
    assert (beta.keys / "1").stat().st_mode & 0o077 == 0
    assert [one.name for one in keeper.roster_of(beta).members] == ["alpha", "beta"]
    assert beta.secrets() == alpha.secrets()
    assert beta.config().installation == alpha.config().installation
    assert RingStore(beta.ring).numbers() == [1]
    staged = RingStore(alpha.ring).draft().devices[3:]
    assert [(one.id, one.name, one.node, one.zone) for one in staged] == [
        (3, "beta-d0", "beta", 2),
        (4, "beta-d1", "beta", 2),
    ]
    assert [one.address for one in staged] == ["tls:127.0.0.1:7201", "tls:127.0.0.1:7202"]
    assert Trust(beta.identity).admits("alpha")
    assert Trust(alpha.identity).admits("beta")


def test_keys_are_for_their_owner_alone(alpha: Installation, tmp_path: Path) -> None:
    """And the authority's key stays with the keeper."""
    beta = add_node(alpha, tmp_path / "beta", "beta")
    assert not (beta.identity / AUTHORITY_KEY).exists()
    for path in (alpha.identity / AUTHORITY_KEY, alpha.identity / KEY, beta.identity / KEY):
        assert path.stat().st_mode & 0o077 == 0
    assert beta.identity.stat().st_mode & 0o077 == 0


def test_a_token_lets_one_machine_in_once(alpha: Installation, tmp_path: Path) -> None:
    """And not after its time; what is stored would not let anybody in."""
    text = keeper.make_token(alpha, NOW_US)
    late = application(Installation(tmp_path / "late"), "late", text)
    with pytest.raises(Refused, match="too old"):
        keeper.admit(alpha, late, NOW_US + TOKEN_S * 1_000_000)
    keeper.admit(alpha, application(Installation(tmp_path / "b"), "beta", text), NOW_US)
    again = application(Installation(tmp_path / "c"), "gamma", text, "h:1")
    with pytest.raises(Refused, match="used"):
        keeper.admit(alpha, again, NOW_US)
    unused = keeper.make_token(alpha, NOW_US)
    files = b"".join(path.read_bytes() for path in alpha.identity.iterdir())
    assert application(Installation(tmp_path / "d"), "d", unused).secret not in files


def test_a_refused_machine_may_try_again_with_its_token(
    alpha: Installation, tmp_path: Path
) -> None:
    """A name that is taken costs nothing but a word."""
    text = keeper.make_token(alpha, NOW_US)
    with pytest.raises(Conflict, match="a node alpha already"):
        keeper.admit(alpha, application(Installation(tmp_path / "b"), "alpha", text), NOW_US)
    keeper.admit(alpha, application(Installation(tmp_path / "b"), "beta", text), NOW_US)


def test_only_the_keeper_decides(alpha: Installation, tmp_path: Path) -> None:
    """Another node says who the keeper is."""
    beta = add_node(alpha, tmp_path / "beta", "beta")
    for work in (
        lambda: keeper.make_token(beta, NOW_US),
        lambda: keeper.remove(beta, "alpha", lost=True),
    ):
        with pytest.raises(Refused, match="ask node alpha at tls:127"):
            work()


def test_a_cloud_of_one_machine_has_no_nodes_to_list(tmp_path: Path) -> None:
    """And says how to open it."""
    with pytest.raises(Refused, match="--cluster-listen"):
        keeper.roster_of(Installation(tmp_path))


def test_a_node_that_holds_data_is_removed_only_as_lost(
    alpha: Installation, tmp_path: Path
) -> None:
    """Otherwise its devices are emptied first."""
    from ring.build import build_all

    add_node(alpha, tmp_path / "beta", "beta")
    store = RingStore(alpha.ring)
    for change in build_all(store.draft(), store.current()):
        store.write(change.epoch)
    with pytest.raises(Conflict, match=r"devices 3, 4 of node beta hold data"):
        keeper.remove(alpha, "beta", lost=False)
    assert keeper.remove(alpha, "beta", lost=True) == [3, 4]
    assert keeper.roster_of(alpha).removed == ("beta",)
    assert not Trust(alpha.identity).admits("beta")
    assert {one.node for one in store.draft().devices} == {"alpha"}


def test_a_node_whose_devices_hold_nothing_goes_at_once(
    alpha: Installation, tmp_path: Path
) -> None:
    """They were only staged; its name is not given again."""
    add_node(alpha, tmp_path / "beta", "beta")
    assert keeper.remove(alpha, "beta", lost=False) == [3, 4]
    with pytest.raises(Conflict, match="was removed"):
        add_node(alpha, tmp_path / "beta2", "beta")


def test_messages_are_as_documented() -> None:
    """Numbers and fields in docs/formats/node.md are those of the code."""
    text = (Path(__file__).parents[3] / "docs" / "formats" / "node.md").read_text()
    rows = re.findall(r"^\| ([A-Z]+) \| (\d+) \|.*\| (.*) \| (.*) \|$", text, re.MULTILINE)
    assert {name: int(number) for name, number, _, _ in rows} == {
        name: getattr(wire, name)
        for name in ("STANDING", "EPOCH", "ROSTER", "TOKEN", "REPAIR", "AUTHORITY", "JOIN")
    }
    answers = {name: (body, answer) for name, _, body, answer in rows}
    counts = [text.count(",") + 1 for text in (*answers["JOIN"], answers["STANDING"][1])]
    kinds = (wire.Application, wire.Welcome, wire.Standing)
    assert counts[:2] == [len(kind.__struct_fields__) for kind in kinds[:2]]
    assert ", ".join(wire.Standing.__struct_fields__) in answers["STANDING"][1]


def test_devices_that_have_left_the_ring_are_forgotten(alpha: Installation) -> None:
    """So that their numbers and directories may be used again."""
    alpha.known.mkdir()
    for number in (0, 7, 12):
        (alpha.known / f"device-{number}").write_text("{}")
    epoch = RingStore(alpha.ring).current()
    assert epoch is not None
    forget_old_devices(alpha, epoch)
    assert [path.name for path in alpha.known.iterdir()] == ["device-0"]


def test_a_list_that_the_keeper_has_not_signed_is_refused(
    alpha: Installation, tmp_path: Path
) -> None:
    """Neither one that was changed, nor one of another cloud's keeper."""
    pem = keeper.authority_pem(alpha.identity)
    data = (alpha.identity / ROSTER).read_bytes()
    assert authority.verify(pem, data).roster == keeper.roster_of(alpha)
    signed = decode_signed(data)
    evil = signed.roster.with_member(Member("evil", "tls:h:1", 1, 1))
    with pytest.raises(Corrupt, match="not signed"):
        authority.verify(pem, encode_signed(signed._replace(roster=evil)))
    other = make_keeper(tmp_path / "other")
    with pytest.raises(Corrupt, match="not signed"):
        authority.verify(pem, (other.identity / ROSTER).read_bytes())


def test_what_is_no_key_gets_no_certificate(alpha: Installation) -> None:
    """The application comes from outside."""
    for pem in (b"", b"junk", keeper.authority_pem(alpha.identity)):
        with pytest.raises(Refused, match="key"):
            authority.issue(alpha.identity, "x", pem)
