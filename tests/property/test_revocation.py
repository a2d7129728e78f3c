"""Revocations: the list decides as a plain reading of the events would, in whatever order they came."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core.access_rules import AccessRule, permits
from core.identity import Identity
from core.revocation import KINDS, Revocation, RevocationList, marks_of

NAME = st.sampled_from(["a", "b", "c"])
EVENT = st.builds(
    Revocation,
    st.integers(1, 50),
    st.sampled_from(KINDS),
    st.one_of(NAME, st.tuples(NAME, NAME).map("/".join)),
    st.integers(0, 10),
)
IDENTITY = st.builds(
    Identity,
    user_id=NAME,
    user_domain_id=NAME,
    project_id=st.one_of(st.just(""), NAME),
    project_domain_id=NAME,
    domain_id=st.one_of(st.just(""), NAME),
    system=st.booleans(),
    roles=st.lists(NAME, max_size=2).map(tuple),
    issued_us=st.integers(0, 10),
    audit_ids=st.lists(NAME, min_size=1, max_size=2).map(tuple),
    trust_id=st.one_of(st.just(""), NAME),
    trustor_id=NAME,
    application_credential_id=st.one_of(st.just(""), NAME),
    access_key=st.one_of(st.just(""), NAME),
    federation=st.none() | st.tuples(NAME, NAME, st.just(())),
)


@given(events=st.lists(EVENT, max_size=20), identity=IDENTITY, order=st.randoms())
def test_a_token_is_revoked_when_some_event_says_so(events, identity, order):
    """Any order, any repetition; the newest number is remembered."""
    shuffled = [*events, *events]
    order.shuffle(shuffled)
    known = RevocationList()
    for event in shuffled:
        known.add(event)
    marks = set(marks_of(identity))
    wanted = any(
        (event.kind, event.key) in marks and identity.issued_us <= event.until_us
        for event in events
    )
    assert known.revoked(identity) is wanted
    assert known.last == max((event.number for event in events), default=0)


@given(events=st.lists(EVENT, max_size=20), identity=IDENTITY, before=st.integers(0, 11))
def test_forgetting_old_events_forgets_no_younger_token(events, identity, before):
    """What concerns only tokens from before that time goes, and nothing else."""
    known, all_of_them = RevocationList(), RevocationList()
    for event in events:
        known.add(event)
        all_of_them.add(event)
    known.forget_before(before)
    if identity.issued_us >= before:
        assert known.revoked(identity) == all_of_them.revoked(identity)


SEGMENT = st.text("ab*{}/.+x", max_size=6)
RULE = st.builds(AccessRule, st.just("object-store"), st.sampled_from(["GET", "PUT"]), SEGMENT)


@given(rules=st.lists(RULE, max_size=4), path=SEGMENT)
def test_access_rules_never_fail_and_match_themselves(rules, path):
    """Patterns are text but for `*`, `**` and `{name}`; a path without those covers itself alone."""
    permits(rules, "object-store", "GET", path)
    plain = AccessRule("object-store", "GET", "/v1/AUTH_x/c.d+e")
    assert permits([plain], "object-store", "GET", "/v1/AUTH_x/c.d+e")
    assert not permits([plain], "object-store", "GET", "/v1/AUTH_x/cXd+e")
    assert not permits([plain], "object-store", "PUT", "/v1/AUTH_x/c.d+e")
    assert not permits([plain], "image", "GET", "/v1/AUTH_x/c.d+e")


def test_wildcards_of_access_rules():
    """One segment, or any number."""
    one = [AccessRule("s", "GET", "/v1/{account}/c/*")]
    assert permits(one, "s", "GET", "/v1/AUTH_x/c/o")
    assert not permits(one, "s", "GET", "/v1/AUTH_x/c/o/p")
    assert not permits(one, "s", "GET", "/v1/a/b/c/o")
    every = [AccessRule("s", "GET", "/v1/AUTH_x/**")]
    assert permits(every, "s", "GET", "/v1/AUTH_x/c/o/p")
    assert not permits(every, "s", "GET", "/v2/AUTH_x/c")
