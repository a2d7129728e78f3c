"""`/allocations`, `/allocation_candidates`, `/usages`: who has claimed what, who could, and sums."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from computed import claims
from computed.api.shape import uuid
from computed.placement.candidates import Candidate, Group, Offer, candidates
from computed.placement.fault import concurrent
from computed.placement.query import AMOUNT_MAX, groups_of, offers
from computed.service import Service
from computed.tables import provider as tables
from core import rows
from core.api.call import Call
from core.api.fault import Fault, bad_request
from core.api.route import Route
from core.api.shape import Shape, anything, integer, nullable, plain_object, text
from core.database import Connection
from core.rows import Row

CONSUMER = {
    "project_id": text(1, 255),
    "user_id": text(1, 255),
    "consumer_generation": nullable(integer(0)),
    "allocations": anything,
}


class Allocations:
    """Who has claimed what."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        single, rule = "/allocations/{consumer_id}", "placement:allocations"
        return [
            Route("GET", single, f"{rule}:list", self.show),
            Route("PUT", single, f"{rule}:update", self.put, 204, Shape(CONSUMER)),
            Route("DELETE", single, f"{rule}:delete", self.delete, 204),
            Route("POST", "/allocations", f"{rule}:manage", self.post, 204, plain_object, (1, 13)),
            Route(
                "GET",
                "/allocation_candidates",
                "placement:allocation_candidates:list",
                self.candidates,
                since=(1, 10),
            ),
            Route("GET", "/usages", "placement:usages", self.usages, since=(1, 9)),
        ]

    async def show(self, call: Call) -> dict[str, Any]:
        """A consumer's."""
        call.allow()
        name = call.variables["consumer_id"]
        async with self._database.read() as db:
            held = await claims.of(db, name)
            consumer = await rows.by_id(db, tables.consumer, name)
            generations = await self._generations(db, held)
        found = {
            key: {"generation": generations[key], "resources": used} for key, used in held.items()
        }
        body: dict[str, Any] = {"allocations": found}
        if consumer is not None:
            if call.microversion >= (1, 12):
                body |= {"project_id": consumer["project_id"], "user_id": consumer["user_id"]}
            if call.microversion >= (1, 28):
                body["consumer_generation"] = consumer["generation"]
        return body

    async def _generations(self, db: Connection, ids: Mapping[str, Any]) -> dict[str, int]:
        table = tables.provider
        found = await rows.rows(db, sa.select(table).where(table.c.id.in_(list(ids))))
        return {row["id"]: row["generation"] for row in found}

    def _wanted(self, call: Call, given: Row) -> dict[str, dict[str, int]]:
        """Amounts by provider, from the form of the version. Raises Fault 400."""
        held = given.get("allocations")
        if call.microversion < (1, 12):
            if not isinstance(held, list) or not held:
                raise bad_request("'allocations' is a required property")
            pairs = [
                ((one.get("resource_provider") or {}).get("uuid"), one.get("resources"))
                for one in held
                if isinstance(one, dict)
            ]
        else:
            if not isinstance(held, dict):
                raise bad_request("'allocations' is a required property")
            pairs = [
                (key, one.get("resources") if isinstance(one, dict) else None)
                for key, one in held.items()
            ]
        found: dict[str, dict[str, int]] = {}
        for key, resources in pairs:
            uuid(key, "allocations")
            if not isinstance(resources, dict) or not resources:
                raise bad_request(f"Invalid allocations of {str(key)[:80]}")
            for name, amount in resources.items():
                integer(1, AMOUNT_MAX)(amount, f"allocations.{name}")
            found[str(key)] = dict(resources)
        return found

    async def _replace(self, db: Connection, call: Call, name: str, given: Row) -> None:
        """Replace a consumer's allocations. Raises Fault 400, 409."""
        version = call.microversion
        wanted = self._wanted(call, given)
        Shape(CONSUMER)(given, "")
        consumer = await rows.by_id(db, tables.consumer, name)
        if version >= (1, 8) and not {"project_id", "user_id"} <= given.keys():
            raise bad_request("'project_id' and 'user_id' are required properties")
        if version >= (1, 28):
            if "consumer_generation" not in given:
                raise bad_request("'consumer_generation' is a required property")
            if given["consumer_generation"] != (consumer["generation"] if consumer else None):
                raise concurrent(f"Consumer {name}")
        held = await claims.of(db, name)
        by_id = {offer.id: offer for offer in await offers(db)}
        for provider_id, resources in wanted.items():
            offer = by_id.get(provider_id)
            if offer is None:
                raise bad_request(
                    f"Allocation for resource provider '{provider_id}' that does not exist."
                )
            for resource, amount in resources.items():
                more = amount - held.get(provider_id, {}).get(resource, 0)
                stock = offer.stocks.get(resource)
                if stock is None or more > stock.room or amount > stock.max_unit:
                    raise Fault(
                        409,
                        f"Unable to allocate inventory: Unable to create allocation for '{resource}' on resource provider '{provider_id}'. The requested amount would exceed the capacity.",
                    )
        owner = {
            "project_id": given.get("project_id", ""),
            "user_id": given.get("user_id", ""),
        }
        await claims.put(db, self._service, name, wanted, owner=owner)

    async def put(self, call: Call) -> None:
        """Replace a consumer's."""
        call.allow()
        name = call.variables["consumer_id"]
        uuid(name, "consumer")
        async with self._database.write() as db:
            await self._replace(db, call, name, call.body)

    async def post(self, call: Call) -> None:
        """Those of several consumers, all or none."""
        call.allow()
        async with self._database.write() as db:
            for name, given in call.body.items():
                uuid(name, "consumer")
                plain_object(given, name)
                await self._replace(db, call, name, given)

    async def delete(self, call: Call) -> None:
        """Give all back."""
        call.allow()
        name = call.variables["consumer_id"]
        async with self._database.write() as db:
            if not await claims.of(db, name):
                raise Fault(404, f"No allocations for consumer '{name[:80]}'")
            await claims.release(db, self._service, name)

    async def candidates(self, call: Call) -> dict[str, Any]:
        """Who could take a request."""
        call.allow()
        groups = [group for group in groups_of(call) if group.resources]
        if not groups:
            raise bad_request("'resources' is a required property")
        policy = call.query.get("group_policy")
        if policy not in {None, "none", "isolate"}:
            raise bad_request("Invalid query string parameters: group_policy")
        limit = call.query.limit()
        async with self._database.read() as db:
            held = await offers(db)
        found = candidates(held, groups, isolate=policy == "isolate")
        found = found if limit is None else found[: max(1, limit)]
        roots = {one.root_id for one in found}
        summaries = {
            offer.id: self._summary(call, offer, groups) for offer in held if offer.root_id in roots
        }
        if call.microversion < (1, 29):
            used = {name for one in found for name in one.amounts}
            summaries = {name: one for name, one in summaries.items() if name in used}
        return {
            "allocation_requests": [self._request(call, one) for one in found],
            "provider_summaries": summaries,
        }

    def _request(self, call: Call, one: Candidate) -> dict[str, Any]:
        if call.microversion < (1, 12):
            return {
                "allocations": [
                    {"resource_provider": {"uuid": name}, "resources": held}
                    for name, held in one.amounts.items()
                ]
            }
        return {"allocations": {name: {"resources": held} for name, held in one.amounts.items()}}

    def _summary(self, call: Call, offer: Offer, groups: list[Group]) -> dict[str, Any]:
        asked = {name for group in groups for name in group.resources}
        resources = {
            name: {
                "capacity": int((stock.total - stock.reserved) * stock.ratio),
                "used": stock.used,
            }
            for name, stock in offer.stocks.items()
            if call.microversion >= (1, 27) or name in asked
        }
        body: dict[str, Any] = {"resources": resources}
        if call.microversion >= (1, 17):
            body["traits"] = sorted(offer.traits)
        if call.microversion >= (1, 29):
            body |= {"parent_provider_uuid": offer.parent_id, "root_provider_uuid": offer.root_id}
        return body

    async def usages(self, call: Call) -> dict[str, Any]:
        """Sums of a project's, or of a user's in it."""
        project_id, user_id = call.query.get("project_id"), call.query.get("user_id")
        if not project_id:
            raise bad_request("'project_id' is a required property")
        call.allow(of={"project_id": project_id})
        consumer, table = tables.consumer, tables.allocation
        where = [consumer.c.project_id == project_id]
        if user_id:
            where.append(consumer.c.user_id == user_id)
        async with self._database.read() as db:
            own = sa.select(consumer.c.id).where(*where)
            held = await rows.rows(db, sa.select(table).where(table.c.consumer_id.in_(own)))
        sums: dict[str, int] = {}
        for row in held:
            sums[row["resource_class"]] = sums.get(row["resource_class"], 0) + row["used"]
        return {"usages": sums}
