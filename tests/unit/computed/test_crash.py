"""The process dies at every step of boot, attach, resize and delete: what comes after leaves nothing half done and nothing over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tests.compute_site import ComputeSite

STEPS_MAX = 40
Begin = Callable[[ComputeSite, str], None]


def machine_count(site: ComputeSite) -> int:
    return sum(len(fake.machines) for fake in site.fakes.values())


def claims(site: ComputeSite) -> int:
    found = site.admin("GET", "/os-hypervisors/statistics", version="2.80").body
    return int(found["hypervisor_statistics"]["vcpus_used"])


def check_one(site: ComputeSite, name: str, *, volumes: int = 1) -> None:
    """A server that runs has exactly what it should have."""
    row = site.show(name)
    assert (row["status"], row["OS-EXT-STS:task_state"]) == ("ACTIVE", None), row
    assert machine_count(site) == 1
    assert len(site.volumes.held) == volumes
    assert [one[2] for one in site.volumes.attachments.values()] == ["attached"] * volumes
    assert len(site.networks.ports) == 1
    assert claims(site) == 1


def check_nothing(site: ComputeSite) -> None:
    """Nothing is left of anything."""
    assert machine_count(site) == 0
    assert (site.volumes.attachments, site.networks.ports) == ({}, {})
    assert claims(site) == 0


def each_step(site: ComputeSite, begin: Callable[[], str], check: Callable[[str], None]) -> int:
    """Begin, die at step 1, recover, check; the same with step 2, …; how many steps there are."""
    for step in range(1, STEPS_MAX):
        name = begin()
        died = site.die_at(step)
        site.settle()
        check(name)
        if not died:
            return step - 1
    raise AssertionError("there is no end")


def remove(site: ComputeSite, name: str) -> None:
    site.call("DELETE", f"/servers/{name}")
    site.settle()


def test_a_boot_that_dies_at_any_step_ends_well(small: ComputeSite) -> None:
    def check(name: str) -> None:
        check_one(small, name)
        remove(small, name)
        check_nothing(small)
        assert small.volumes.held == {}

    assert each_step(small, small.begin, check) >= 7


def test_a_removal_that_dies_at_any_step_leaves_nothing(small: ComputeSite) -> None:
    def begin() -> str:
        name = str(small.boot()["id"])
        small.call("DELETE", f"/servers/{name}")
        return name

    def check(name: str) -> None:
        assert small.status(name) == "gone"
        check_nothing(small)
        assert small.volumes.held == {}

    assert each_step(small, begin, check) >= 3


def test_an_attachment_that_dies_at_any_step_ends_well(small: ComputeSite) -> None:
    name = str(small.boot()["id"])
    path = f"/servers/{name}/os-volume_attachments"
    volume = small.volumes.add()

    def begin() -> str:
        reply = small.call("POST", path, {"volumeAttachment": {"volumeId": volume.id}})
        assert reply.status == 200, reply
        return name

    def check(_: str) -> None:
        check_one(small, name, volumes=2)
        small.call("DELETE", f"{path}/{volume.id}")
        small.settle()
        assert small.volumes.held[volume.id].status == "available"

    assert each_step(small, begin, check) >= 2


def test_a_move_that_dies_at_any_step_ends_well(small: ComputeSite) -> None:
    name = str(small.boot()["id"])

    def begin() -> str:
        reply = small.call("POST", f"/servers/{name}/action", {"migrate": None}, who="admin")
        assert reply.status == 202, reply
        return name

    def check(_: str) -> None:
        assert small.status(name) == "VERIFY_RESIZE"
        small.act(name, "confirmResize", who="admin")
        check_one(small, name)

    assert each_step(small, begin, check) >= 3


def test_a_boot_that_is_removed_while_it_is_made_leaves_nothing(small: ComputeSite) -> None:
    for step in (1, 3, 5):
        name = small.begin()
        small.die_at(step)
        remove(small, name)
        assert small.status(name) == "gone"
        check_nothing(small)
        assert small.volumes.held == {}


def test_a_host_that_does_nothing_gives_everything_back_at_the_deadline(small: ComputeSite) -> None:
    for api in small.apis.values():
        api.down = True
    name = small.begin()
    small.die_at(6)
    small.env.advance(910)
    small.settle(60)
    row = small.show(name)
    assert row["status"] == "ERROR"
    assert "could not be built" in row["fault"]["message"]


def test_a_host_that_dies_while_a_server_boots_is_not_waited_for(small: ComputeSite) -> None:
    """Half a minute of silence ends it with a clear fault, and what was made is given back."""
    for api in small.apis.values():
        api.down = True
    name = small.begin()

    async def later() -> None:
        for _ in range(200):
            await asyncio.sleep(0.02)
            if small.steps.count >= 7:
                small.env.advance(40)
                small.service.reported.wake()

    background = small.loop.create_task(later())
    small.settle(30)
    background.cancel()
    row = small.show(name)
    assert row["status"] == "ERROR"
    assert "has not reported for" in row["fault"]["message"]
    check_nothing(small)
    assert small.volumes.held == {}
