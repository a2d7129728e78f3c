"""Thousands of requests that nearly make sense, on both databases: refused or answered, never 500."""

from __future__ import annotations

import random
from typing import Any

import pytest

from core.api.action import Actions
from core.api.route import Route
from core.api.shape import Shape
from tests.block_site import BlockSite

REQUESTS = 1500
VALUES: list[Any] = [
    *(None, True, 0, -1, 2**63, 2**70, 1.5, "", "x", "a\0b", "\ud7ff", "é" * 300, [], {}, ["a\0"]),
    *({"a": "b\0c"}, {"a\0": "b"}, {"host": "h"}, {"source-name": "a\0b"}, "<is> True", "true"),
    *("available", "node1"),
]
NAMES = ["x", "%00", "é", "a" * 300]
QUERIES = [
    *("", "?limit=1", "?marker=a", "?name=%C3%A9", "?name~=x", "?sort=name:asc", "?size=5"),
    *("?size=99999999999999999999", "?status~=a&all_tenants=1", "?bootable=true", "?with_count=1"),
    *("?created_at=gt:2026-01-01T00:00:00", "?host=node1", "?usage=true", "?volume_id=x"),
]


def path_of(rng: random.Random, route: Route, known: dict[str, str]) -> str:
    """A route's path; mostly with names of things that are there."""
    path = route.path.removeprefix("/v3")
    while "{" in path:
        head, _, rest = path.partition("{")
        wanted, _, rest = rest.partition("}")
        there = known.get(wanted) if rng.random() < 0.8 else None
        path = head + (there or rng.choice(NAMES)) + rest
    return path or "/"


def body_of(rng: random.Random, route: Route, values: list[Any]) -> Any:
    """A body with the right names and any values."""
    inner = getattr(getattr(route.handler, "__wrapped__", None), "__self__", None)
    if isinstance(inner, Actions):
        action = rng.choice(list(inner.actions.values()))
        return {action.name: filled(rng, action.body, values)}
    return filled(rng, route.body, values)


def filled(rng: random.Random, shape: Any, values: list[Any]) -> Any:
    """An object of a shape with any values."""
    if not isinstance(shape, Shape) or rng.random() < 0.05:
        return rng.choice(values)
    chosen = {name for name in shape.attributes if rng.random() < 0.5} | set(shape.required)
    return {name: filled(rng, shape.attributes.get(name), values) for name in sorted(chosen)}


@pytest.mark.parametrize("seed", [1, 2])
def test_no_request_makes_the_service_fail(site: BlockSite, seed: int) -> None:
    """By an administrator, who gets furthest."""
    rng = random.Random(seed)
    volume = site.make("volume", size=1, who="admin")["id"]
    pin = site.make("snapshot", volume_id=volume, who="admin")["id"]
    backup = site.make("backup", volume_id=volume, who="admin")["id"]
    kind = site.admin("GET", "/types/default").body["volume_type"]["id"]
    known = {
        "volume_id": volume,
        "owner_id": volume,
        "snapshot_id": pin,
        "backup_id": backup,
        "type_id": kind,
    }
    values = [*VALUES, volume, pin, backup, kind, [volume]]
    routes = [route for route in site.app.table.routes if "{project_id}" not in route.path]
    site.settles = False
    for _ in range(REQUESTS):
        route = rng.choice(routes)
        path = path_of(rng, route, known) + rng.choice(QUERIES)
        body = None if route.method in {"GET", "DELETE"} else body_of(rng, route, values)
        reply = site.call(route.method, path, body, who="admin")
        assert reply.status < 500 or reply.status == 501, (route.method, path, body)
