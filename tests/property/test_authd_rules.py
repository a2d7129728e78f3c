"""Small decisions of the identity service hold for all inputs: trusts passed on, limits, tags, access by delegation."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from authd import delegation, limit_models, redelegation, tags
from core.api.fault import Fault
from core.identity import Identity

COUNTS = st.one_of(st.none(), st.integers(0, 6))
TIMES = st.one_of(st.none(), st.integers(1, 10**6))
ROLES = st.frozensets(st.sampled_from(("r1", "r2", "r3")))
GIVEN = st.fixed_dictionaries(
    {
        "impersonation": st.booleans(),
        "project_id": st.sampled_from(("p1", "p2")),
    },
    optional={
        "allow_redelegation": st.sampled_from((True, False, None)),
        "redelegation_count": COUNTS,
        "remaining_uses": st.one_of(st.none(), st.integers(1, 3)),
    },
)


@given(GIVEN, st.integers(0, 5), TIMES, TIMES, ROLES, ROLES, st.booleans())
def test_a_trust_passed_on_is_never_more_than_the_one_above(
    given_: dict[str, Any],
    depth: int,
    parent_us: int | None,
    wanted_us: int | None,
    parent_roles: frozenset[str],
    roles: frozenset[str],
    impersonation: bool,
) -> None:
    """Not deeper, not longer, no more roles, no impersonation that was not lent, not another project."""
    parent = {"id": "t", "project_id": "p1", "impersonation": impersonation}
    try:
        below = redelegation.depth_below(depth, given_)
        end_us = redelegation.end_below(parent_us, wanted_us)
        redelegation.check_below(parent, given_, parent_roles=parent_roles, roles=roles)
    except Fault:
        return
    assert 0 <= below < depth <= redelegation.REDELEGATION_MAX
    assert parent_us is None or (end_us is not None and end_us <= parent_us)
    assert roles <= parent_roles
    assert impersonation or not given_["impersonation"]
    assert given_["project_id"] == "p1"


@given(st.integers(-1, 50), st.integers(-1, 50), st.lists(st.integers(-1, 50), max_size=4))
def test_strict_limits_agree_from_above_and_from_below(
    limit: int, bound: int, others: list[int]
) -> None:
    """What is refused for a project under a domain is refused for the domain over the project."""

    def refused(check: Any, *arguments: Any) -> bool:
        try:
            check("strict_two_level", *arguments)
        except Fault:
            return True
        return False

    project = refused(limit_models.check_project, limit, bound)
    assert project == refused(limit_models.check_domain, bound, [limit])
    if project:
        assert refused(limit_models.check_domain, bound, [*others, limit])
    limit_models.check_project("flat", limit, bound)


NAMES = st.lists(st.sampled_from("abcd"), max_size=4, unique=True)


@given(NAMES, NAMES)
def test_tag_filters_are_each_others_opposites(held: list[str], wanted: list[str]) -> None:
    """`not-tags` is the complement of `tags`, and all of them means any of them."""
    assume(wanted)
    text = ",".join(wanted)
    every, some = tags.fits(held, {"tags": text}), tags.fits(held, {"tags-any": text})
    assert tags.fits(held, {"not-tags": text}) != every
    assert tags.fits(held, {"not-tags-any": text}) != some
    assert some or not every


@given(
    st.lists(st.sampled_from(("password", "token", "application_credential", "ec2credential"))),
    st.sampled_from(("", "t")),
    st.sampled_from(("", "a")),
)
def test_who_acts_by_delegation_makes_nothing_lasting(
    methods: list[str], trust_id: str, credential_id: str
) -> None:
    """Whoever did not prove to be the user themselves is refused the user's secrets."""
    identity = Identity(
        user_id="u",
        methods=tuple(methods),
        trust_id=trust_id,
        application_credential_id=credential_id,
    )
    lent = {"application_credential", "ec2credential"} & set(methods)
    if trust_id or credential_id or lent:
        with pytest.raises(Fault):
            delegation.refuse_any(identity)
    else:
        delegation.refuse_any(identity)
        delegation.refuse_for_trusts(identity)
        delegation.refuse_for_application_credentials(identity, change=True)
    if credential_id or lent:
        with pytest.raises(Fault):
            delegation.refuse_for_trusts(identity)
