"""What a log-in asks to act on: the `scope` of a request, and who or what a body names. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

from core.api.fault import bad_request


class Name(NamedTuple):
    """Something named by id, or by name in a domain that is itself named by id or name."""

    id: str = ""
    name: str = ""
    domain_id: str = ""
    domain_name: str = ""


class Scope(NamedTuple):
    """`kind` is "project", "domain", "system", "trust", "unscoped", or "" when nothing was asked for."""

    kind: str = ""
    name: Name = Name()


def name_of(given: Any, where: str, *, with_domain: bool = True) -> Name:
    """`{"id"}` or `{"name", "domain": {"id"} | {"name"}}`. Raises Fault 400."""
    if not isinstance(given, dict):
        raise bad_request(f"Expecting to find {where} as an object.")
    own_id, name = given.get("id"), given.get("name")
    for value in (own_id, name):
        if value is not None and (not isinstance(value, str) or not value):
            raise bad_request(f"Expecting to find a string that is not empty in {where}.")
    if own_id is not None:
        return Name(id=own_id)
    if name is None:
        raise bad_request(f"Expecting to find id or name in {where}.")
    if not with_domain:
        return Name(name=name)
    if "domain" not in given:
        raise bad_request(f"Expecting to find domain in {where}.")
    domain = name_of(given["domain"], f"{where}.domain", with_domain=False)
    return Name(name=name, domain_id=domain.id, domain_name=domain.name)


def scope_of(given: Any) -> Scope:
    """The scope of an `auth` object's `scope`. Raises Fault 400."""
    if given is None:
        return Scope()
    if given == "unscoped":
        return Scope("unscoped")
    if not isinstance(given, dict):
        raise bad_request("Expecting to find scope as an object.")
    kinds = [
        kind
        for kind in ("project", "domain", "system", "OS-TRUST:trust", "unscoped")
        if kind in given
    ]
    if len(kinds) != 1 or len(given) != 1:
        raise bad_request(
            "Expecting to find exactly one of project, domain, system, OS-TRUST:trust or unscoped in"
            " scope."
        )
    kind = kinds[0]
    if kind == "unscoped":
        return Scope("unscoped")
    if kind == "system":
        if given["system"] != {"all": True}:
            raise bad_request("Expecting to find {'all': true} in scope.system.")
        return Scope("system")
    if kind == "OS-TRUST:trust":
        return Scope("trust", name_of(given[kind], "scope.OS-TRUST:trust", with_domain=False))
    return Scope(kind, name_of(given[kind], f"scope.{kind}", with_domain=kind == "project"))
