"""Who has which role where: as it was granted, or as it takes effect for single users on single projects. Pure.

The effective list puts each member in the place of a group, each project in the place of what is inherited, and adds
all that a role implies (OpenStack Identity API, "List role assignments").
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple


class Assignment(NamedTuple):
    """One role of one actor on one target; `via_…` say where an effective one comes from ("" when it is direct)."""

    actor: str  # "user" or "group"
    actor_id: str
    target: str  # "project", "domain" or "system"
    target_id: str
    role_id: str
    inherited: bool = False
    via_group: str = ""
    via_target: tuple[str, str] | None = None  # kind and id of where it was inherited from
    via_role: str = ""  # the role that was granted and implies this one


class World(NamedTuple):
    """What the effective list is made with."""

    members: Mapping[str, Iterable[str]]  # user ids by group id
    below: Mapping[str, Iterable[str]]  # ids of all projects under a project or domain
    implied: Mapping[str, Iterable[str]]  # role ids by prior role id
    domain_roles: frozenset[str]  # ids of roles that are in no token


def effective(granted: Iterable[Assignment], world: World) -> list[Assignment]:
    """Every role that takes effect, each once for each way in which it comes."""
    found: dict[Assignment, None] = {}
    for grant in granted:
        for placed in _placed(grant, world):
            for person in _persons(placed, world):
                for one in _roles(person, world):
                    found[one] = None
    return list(found)


def _placed(grant: Assignment, world: World) -> Iterator[Assignment]:
    if not grant.inherited:
        yield grant
        return
    for project_id in world.below.get(grant.target_id, ()):
        yield grant._replace(
            target="project",
            target_id=project_id,
            inherited=False,
            via_target=(grant.target, grant.target_id),
        )


def _persons(grant: Assignment, world: World) -> Iterator[Assignment]:
    if grant.actor == "user":
        yield grant
        return
    for user_id in world.members.get(grant.actor_id, ()):
        yield grant._replace(actor="user", actor_id=user_id, via_group=grant.actor_id)


def _roles(grant: Assignment, world: World) -> Iterator[Assignment]:
    seen, level = {grant.role_id}, [grant.role_id]
    if grant.role_id not in world.domain_roles:
        yield grant
    while level:
        below = [role_id for prior in level for role_id in world.implied.get(prior, ())]
        level = []
        for role_id in below:
            if role_id in seen:
                continue
            seen.add(role_id)
            level.append(role_id)
            if role_id not in world.domain_roles:
                yield grant._replace(role_id=role_id, via_role=grant.role_id)
