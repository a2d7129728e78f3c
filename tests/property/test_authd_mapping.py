"""Mapping rules on arbitrary rules and claims: refused or followed, never anything else."""

from __future__ import annotations

from hypothesis import event, given
from hypothesis import strategies as st

from authd.mapping import check_rules, claims_of, map_claims
from core.api.fault import Fault

TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=12)
PLACE = st.one_of(TEXT, st.sampled_from(["{0}", "{1}", "a {0} b", "{0.__class__}", "{}", "{0}{1}"]))
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=8,
)
DOMAIN = st.fixed_dictionaries({}, optional={"id": TEXT, "name": TEXT})
LOCAL = st.fixed_dictionaries(
    {},
    optional={
        "user": st.fixed_dictionaries({}, optional={"name": PLACE, "id": PLACE, "email": PLACE}),
        "group": st.fixed_dictionaries({}, optional={"name": PLACE, "id": PLACE, "domain": DOMAIN}),
        "groups": PLACE,
        "group_ids": PLACE,
        "domain": DOMAIN,
    },
)
REMOTE = st.fixed_dictionaries(
    {"type": st.sampled_from(["sub", "groups", "email"])},
    optional={
        "any_one_of": st.lists(TEXT, max_size=3),
        "not_any_of": st.lists(TEXT, max_size=3),
        "whitelist": st.lists(TEXT, max_size=3),
        "blacklist": st.lists(TEXT, max_size=3),
        "regex": st.booleans(),
    },
)
RULES = st.lists(
    st.fixed_dictionaries(
        {"local": st.lists(LOCAL, max_size=3), "remote": st.lists(REMOTE, min_size=1, max_size=3)}
    ),
    min_size=1,
    max_size=3,
)
CLAIMS = st.dictionaries(st.sampled_from(["sub", "groups", "email", "x"]), JSON, max_size=4)


@given(rules=st.one_of(JSON, RULES), claims=CLAIMS)
def test_rules_are_refused_or_followed(rules, claims):
    """400 for rules that make no sense, 401 when they name nobody; every name is text that was given."""
    try:
        check_rules(rules)
        mapped = map_claims(rules, claims_of(claims))
    except Fault as fault:
        event(str(fault.status))
        refused = fault.status
    else:
        refused = 0
    assert refused in {0, 400, 401}
    if refused:
        return
    assert mapped.user.name
    assert all(isinstance(name, str) and name for name in mapped.group_ids)
    assert "class" not in mapped.user.name or "class" in repr((rules, claims))


@given(groups=st.lists(TEXT.filter(bool), max_size=5, unique=True), keep=st.lists(TEXT, max_size=5))
def test_a_whitelist_lets_through_what_is_in_it_and_nothing_else(groups, keep):
    """In the order of the claim; a blacklist is its complement."""
    for kind in ("whitelist", "blacklist"):
        rules = [
            {
                "local": [{"user": {"name": "{0}"}}, {"group_ids": "{1}"}],
                "remote": [{"type": "sub"}, {"type": "groups", kind: keep}],
            }
        ]
        check_rules(rules)
        claims = claims_of({"sub": "me", "groups": [*groups, ""]})
        wanted = [one for one in groups if (one in keep) == (kind == "whitelist")]
        assert map_claims(rules, claims).group_ids == tuple(wanted)


def test_the_first_rule_that_fits_names_the_user_and_all_that_fit_give_groups():
    """As the Identity API's examples have it."""
    rules = [
        {
            "local": [{"user": {"name": "{0}"}}, {"group": {"id": "staff"}}],
            "remote": [
                {"type": "email"},
                {"type": "groups", "any_one_of": [r".*@corp\.test$"], "regex": True},
            ],
        },
        {
            "local": [{"user": {"name": "guest"}}, {"group": {"id": "all"}}],
            "remote": [{"type": "sub"}],
        },
    ]
    check_rules(rules)
    claims = claims_of({"sub": "1", "email": "a@corp.test", "groups": ["x@corp.test"]})
    mapped = map_claims(rules, claims)
    assert mapped.user.name == "a@corp.test"
    assert mapped.group_ids == ("staff", "all")
    assert map_claims(rules, claims_of({"sub": "1"})).user.name == "guest"
