"""Limits of projects as the identity service has them, asked for over its API and remembered for a short while.

Without a registered limit of the image service nothing is limited. While the identity service does not answer, what was
known last goes on counting.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from core.api.client import Client
from core.env import Env
from core.errors import Unavailable
from core.service_identity import ServiceIdentity
from imaged.quota import RESOURCES

log = logging.getLogger("ringstack.imaged")

FRESH_US = 15_000_000
PROJECTS_MAX = 10_000
TIMEOUT_S = 5.0
TYPE = "image"


class IdentityLimits:
    """`imaged.quota.Limits` over the Identity API v3."""

    def __init__(self, env: Env, identity_url: str, identity: ServiceIdentity) -> None:
        self._env = env
        self._client = Client(identity_url)
        self._identity = identity
        self._known: dict[str, tuple[int, dict[str, int]]] = {}
        self._defaults: tuple[int, str, dict[str, int]] = (0, "", {})

    async def of_project(self, project_id: str) -> Mapping[str, int]:
        """Limits of a project by resource; -1 is no limit."""
        now_us = self._env.wall_us()
        asked_us, known = self._known.get(project_id, (0, {}))
        if asked_us and abs(now_us - asked_us) < FRESH_US:
            return known
        try:
            known = await self._ask(project_id, now_us)
        except Unavailable as error:
            log.warning("limits are not known now: %s", error.message)
            return known
        if len(self._known) >= PROJECTS_MAX:
            self._known.clear()
        self._known[project_id] = (now_us, known)
        return known

    async def _ask(self, project_id: str, now_us: int) -> dict[str, int]:
        service_id, defaults = await self._registered(now_us)
        if not defaults:
            return {}
        query = f"service_id={quote(service_id)}&project_id={quote(project_id)}"
        own = await self._get(f"/v3/limits?{query}", "limits")
        mine = {
            row["resource_name"]: row["resource_limit"]
            for row in own
            if row.get("project_id") == project_id
        }
        return {**defaults, **{name: mine[name] for name in RESOURCES if name in mine}}

    async def _registered(self, now_us: int) -> tuple[str, dict[str, int]]:
        asked_us, service_id, defaults = self._defaults
        if asked_us and abs(now_us - asked_us) < FRESH_US:
            return service_id, defaults
        services = await self._get(f"/v3/services?type={TYPE}", "services")
        service_id = str(services[0]["id"]) if services else ""
        found: list[Any] = []
        if service_id:
            query = f"service_id={quote(service_id)}"
            found = await self._get(f"/v3/registered_limits?{query}", "registered_limits")
        named = {row["resource_name"]: row["default_limit"] for row in found}
        defaults = {name: named[name] for name in RESOURCES if name in named}
        self._defaults = (now_us, service_id, defaults)
        return service_id, defaults

    async def _get(self, path: str, name: str) -> list[Any]:
        headers = {"X-Auth-Token": self._identity.token()}
        reply = await self._client.call("GET", path, headers=headers, timeout_s=TIMEOUT_S)
        body = reply.json()
        if reply.status != 200 or not isinstance(body, dict) or name not in body:
            raise Unavailable("NoLimits", f"the identity service answers {reply.status} to {path}")
        return list(body[name])
