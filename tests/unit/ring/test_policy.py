from __future__ import annotations

import dataclasses

import pytest

from core.errors import Refused
from ring.policy import Policy, check_policies

GOLD = Policy(0, "gold", "replicated", replicas=3, is_default=True, aliases=("best",))
COLD = Policy(1, "cold", "erasure", data=4, parity=2, codec="zfec")


def test_the_width_is_the_number_of_devices_that_hold_a_blob() -> None:
    """Replicas, or all fragments."""
    assert (GOLD.width, COLD.width) == (3, 6)


@pytest.mark.parametrize(
    ("policy", "changes"),
    [
        (GOLD, {"id": -1}),
        (GOLD, {"id": 65_536}),
        (GOLD, {"name": "with space"}),
        (GOLD, {"aliases": ("ok", "")}),
        (GOLD, {"kind": "mirrored"}),
        (GOLD, {"replicas": 0}),
        (GOLD, {"replicas": 33}),
        (GOLD, {"replicas": 2.0}),
        (GOLD, {"parity": 1}),
        (GOLD, {"codec": "zfec"}),
        (COLD, {"data": 0}),
        (COLD, {"parity": 0}),
        (COLD, {"data": 31}),
        (COLD, {"replicas": 3}),
        (COLD, {"codec": ""}),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(
    policy: Policy, changes: dict[str, object]
) -> None:
    """Each rule of the two kinds, broken one at a time."""
    with pytest.raises(Refused) as caught:
        dataclasses.replace(policy, **changes)
    assert caught.value.code == "InvalidPolicy"


def test_a_set_of_policies_has_unique_names_and_one_default() -> None:
    """Names and aliases are compared without case, because clients send them in headers."""
    check_policies((GOLD, COLD))
    for broken in (
        (),
        (COLD,),
        (GOLD, dataclasses.replace(COLD, is_default=True)),
        (GOLD, dataclasses.replace(COLD, id=0)),
        (GOLD, dataclasses.replace(COLD, name="BEST")),
    ):
        with pytest.raises(Refused):
            check_policies(broken)
