"""Mapping rules: from what an identity provider says about somebody to a user, groups and projects here. Pure.

As the Identity API's mapping document has it: a rule counts when all its `remote` requirements hold; `{0}`, `{1}` in
its `local` part stand for the values of the requirements that pass values on (a bare `type`, `whitelist`,
`blacklist`), in their order. Nothing of the provider's is ever interpreted: values are text that is put in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from core.api.fault import bad_request, unauthorized
from core.api.shape import Shape, array, boolean, choice, text

PLACE = re.compile(r"\{(\d{1,2})\}")
PATTERN_CHARS_MAX = 512
VALUE_CHARS_MAX = 1024  # of a value that a pattern is tried on

_DOMAIN = Shape({"id": text(1), "name": text(1)}, more=False, least=1)
_ROLE = Shape({"name": text(1, 255)}, ["name"], more=False)
_LOCAL = Shape(
    {
        "user": Shape(
            {
                "id": text(1),
                "name": text(1),
                "email": text(),
                "domain": _DOMAIN,
                "type": choice("ephemeral", "local"),
            },
            more=False,
        ),
        "group": Shape({"id": text(1), "name": text(1), "domain": _DOMAIN}, more=False, least=1),
        "groups": text(1),
        "group_ids": text(1),
        "domain": _DOMAIN,
        "projects": array(
            Shape({"name": text(1), "roles": array(_ROLE, least=1)}, ["name", "roles"], more=False)
        ),
    },
    more=False,
)
_REMOTE = Shape(
    {
        "type": text(1),
        "any_one_of": array(text(0, PATTERN_CHARS_MAX)),
        "not_any_of": array(text(0, PATTERN_CHARS_MAX)),
        "blacklist": array(text(0, PATTERN_CHARS_MAX)),
        "whitelist": array(text(0, PATTERN_CHARS_MAX)),
        "regex": boolean,
    },
    ["type"],
    more=False,
)
_RULE = Shape(
    {"local": array(_LOCAL), "remote": array(_REMOTE, least=1)}, ["local", "remote"], more=False
)
RULES = array(_RULE, least=1, most=1000)
KINDS = ("any_one_of", "not_any_of", "blacklist", "whitelist")

Values = Sequence[Sequence[str]]


class MappedUser(NamedTuple):
    """Who somebody is here. `kind` "local" names a user that must exist; "ephemeral" one that is kept for them."""

    kind: str
    id: str
    name: str
    email: str
    domain: Mapping[str, str]


class Mapped(NamedTuple):
    """What rules made of claims."""

    user: MappedUser
    group_ids: tuple[str, ...]
    groups: tuple[tuple[str, Mapping[str, str]], ...]  # name and domain
    projects: tuple[tuple[str, tuple[str, ...]], ...]  # name and names of roles


def check_rules(rules: Any) -> None:
    """Refuse rules that could not be followed. Raises Fault 400."""
    RULES(rules, "mapping.rules")
    for rule in rules:
        passed_on = 0
        for remote in rule["remote"]:
            kinds = [kind for kind in KINDS if kind in remote]
            if len(kinds) > 1:
                raise bad_request(
                    "A remote rule has one of any_one_of, not_any_of, blacklist, whitelist."
                )
            passed_on += not kinds or kinds[0] in {"blacklist", "whitelist"}
            if remote.get("regex"):
                _check_patterns(remote[kinds[0]] if kinds else [])
        for found in PLACE.finditer(repr(rule["local"])):
            if int(found[1]) >= passed_on:
                raise bad_request(
                    f"The local rule uses {found[0]}, which no remote rule passes on."
                )


def _check_patterns(patterns: list[str]) -> None:
    for pattern in patterns:
        try:
            re.compile(pattern)
        except (re.error, RecursionError, OverflowError):
            raise bad_request("A regular expression of the mapping cannot be read.") from None


def claims_of(document: Mapping[str, Any]) -> dict[str, list[str]]:
    """Claims as lists of texts; what is neither text, number, truth nor a list of such is left out."""
    claims: dict[str, list[str]] = {}
    for name, value in document.items():
        values = value if isinstance(value, list) else [value]
        texts = [_text(one) for one in values if isinstance(one, str | int | float)]
        if texts:
            claims[name] = texts
    return claims


def _text(value: str | float) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def map_claims(rules: Sequence[Mapping[str, Any]], claims: Mapping[str, list[str]]) -> Mapped:
    """Follow the rules. Raises Fault 401 when none counts, or they name no user."""
    parts: list[dict[str, Any]] = []
    for rule in rules:
        values = requirements(rule["remote"], claims)
        if values is not None:
            parts += [_filled(local, values) for local in rule["local"]]
    users = [part["user"] for part in parts if part.get("user")]
    if not users:
        raise unauthorized("No mapping rule fits, so nobody is known here.")
    user = users[0]
    name, own_id = _one(user.get("name", "")), _one(user.get("id", ""))
    if not name and not own_id:
        raise unauthorized("No mapping rule fits, so nobody is known here.")
    return Mapped(
        MappedUser(
            user.get("type", "ephemeral"),
            own_id,
            name or own_id,
            _one(user.get("email", "")),
            user.get("domain", {}),
        ),
        tuple(dict.fromkeys(_group_ids(parts))),
        tuple(_groups(parts)),
        tuple(
            (_one(project["name"]), tuple(_one(role["name"]) for role in project["roles"]))
            for part in parts
            for project in part.get("projects", ())
        ),
    )


def requirements(
    remote: Sequence[Mapping[str, Any]], claims: Mapping[str, list[str]]
) -> Values | None:
    """Values that a rule passes on, None when one of its requirements does not hold."""
    passed: list[Sequence[str]] = []
    for need in remote:
        values = claims.get(need["type"])
        if values is None:
            return None
        regex = bool(need.get("regex"))
        if "any_one_of" in need:
            if not any(_matches(value, need["any_one_of"], regex=regex) for value in values):
                return None
        elif "not_any_of" in need:
            if any(_matches(value, need["not_any_of"], regex=regex) for value in values):
                return None
        elif "blacklist" in need:
            passed.append([v for v in values if not _matches(v, need["blacklist"], regex=regex)])
        elif "whitelist" in need:
            passed.append([v for v in values if _matches(v, need["whitelist"], regex=regex)])
        else:
            passed.append(values)
    return passed


def _matches(value: str, wanted: Sequence[str], *, regex: bool) -> bool:
    if regex:
        return any(re.search(pattern, value[:VALUE_CHARS_MAX]) for pattern in wanted)
    return value in wanted


def _filled(local: Any, values: Values) -> Any:
    """A local rule with its places filled; a place alone that stands for several values becomes a list."""
    if isinstance(local, dict):
        return {name: _filled(value, values) for name, value in local.items()}
    if isinstance(local, list):
        return [_filled(value, values) for value in local]
    if not isinstance(local, str):
        return local
    alone = PLACE.fullmatch(local)
    if alone is not None:
        found = values[int(alone[1])]
        return found[0] if len(found) == 1 else list(found)
    return PLACE.sub(lambda place: ";".join(values[int(place[1])]), local)


def _one(value: Any) -> str:
    """A value where only one makes sense: several are refused, none is empty. Raises Fault 401."""
    if isinstance(value, list):
        if len(value) > 1:
            raise unauthorized("The mapping gives several values where one is needed.")
        return str(value[0]) if value else ""
    return str(value)


def _many(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


def _group_ids(parts: Sequence[Mapping[str, Any]]) -> list[str]:
    found: list[str] = []
    for part in parts:
        found += _many(part.get("group_ids", []))
        group = part.get("group", {})
        if "id" in group:
            found += _many(group["id"])
    return [name for name in found if name]


def _groups(parts: Sequence[Mapping[str, Any]]) -> list[tuple[str, Mapping[str, str]]]:
    found: list[tuple[str, Mapping[str, str]]] = []
    for part in parts:
        if "groups" in part:
            found += [(name, part.get("domain", {})) for name in _many(part["groups"])]
        group = part.get("group", {})
        if "name" in group:
            found += [(name, group.get("domain", {})) for name in _many(group["name"])]
    return found
