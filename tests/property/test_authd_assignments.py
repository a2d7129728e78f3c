"""Effective assignments hold whatever the world looks like."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from authd.assignments import Assignment, World, effective

USERS, GROUPS, PROJECTS, ROLES = ("u1", "u2"), ("g1", "g2"), ("p1", "p2"), ("r1", "r2", "r3", "r4")
GRANTS = st.lists(
    st.one_of(
        st.builds(
            Assignment,
            st.just("user"),
            st.sampled_from(USERS),
            st.just("project"),
            st.sampled_from(PROJECTS),
            st.sampled_from(ROLES),
            st.booleans(),
            st.just(""),
            st.none(),
            st.just(""),
        ),
        st.builds(
            Assignment,
            st.just("group"),
            st.sampled_from(GROUPS),
            st.just("domain"),
            st.just("d"),
            st.sampled_from(ROLES),
            st.booleans(),
            st.just(""),
            st.none(),
            st.just(""),
        ),
    ),
    max_size=8,
)
WORLDS = st.builds(
    World,
    st.fixed_dictionaries({name: st.sets(st.sampled_from(USERS)) for name in GROUPS}),
    st.just({"d": PROJECTS, "p1": ["p2"]}),
    st.dictionaries(st.sampled_from(ROLES), st.sets(st.sampled_from(ROLES))),
    st.frozensets(st.sampled_from(ROLES)),
)


@given(GRANTS, WORLDS)
def test_effective_assignments_are_of_persons_in_places_and_never_twice(
    grants: list[Assignment], world: World
) -> None:
    """Cycles of implied roles end, domain roles are left out, and nothing comes from nowhere."""
    found = effective(grants, world)
    assert len(found) == len(set(found))
    for one in found:
        assert one.actor == "user"
        assert not one.inherited
        assert one.role_id not in world.domain_roles
        origin = (one.via_group or one.actor_id, (one.via_target or (one.target, one.target_id)))
        assert any(
            (grant.actor_id, (grant.target, grant.target_id)) == origin
            and grant.role_id == (one.via_role or one.role_id)
            and grant.inherited == (one.via_target is not None)
            for grant in grants
        )


@given(GRANTS, WORLDS)
def test_more_grants_never_take_effect_away(grants: list[Assignment], world: World) -> None:
    """Each grant adds on its own."""
    assert set(effective(grants[1:], world)) <= set(effective(grants, world))
