"""The Placement API: providers and claims, generations that refuse the late, candidates; and the scheduler's pure part."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from computed import schedule
from computed.placement.app import make_app
from computed.placement.candidates import Group, Offer, candidates
from computed.schedule import Ask, HostView, Stock
from tests.compute_site import ComputeSite
from tests.identity_site import Reply

CONSUMER = "88888888-0000-4000-8000-000000000001"


class Placement:
    """Calls of the Placement API of a site."""

    def __init__(self, site: ComputeSite) -> None:
        self._site = site
        self._app = make_app(site.service, site.app._authenticate, "http://cloud.test:5000")

    def __call__(
        self, method: str, path: str, body: Any = None, *, who: str = "admin", version: str = "1.29"
    ) -> Reply:
        site, compute = self._site, self._site.app
        site.app = self._app
        try:
            return site.call(
                method,
                path,
                body,
                who=who,
                version=f"2.1, placement {version}",
                prefix="/placement",
            )
        finally:
            site.app = compute


def test_hosts_are_providers_and_servers_consumers(small: ComputeSite) -> None:
    ask = Placement(small)
    name = small.boot()["id"]
    found = ask("GET", "/resource_providers").body["resource_providers"]
    assert [one["name"] for one in found] == ["host1", "host2"]
    held = ask("GET", f"/allocations/{name}").body
    (used,) = held["allocations"].values()
    assert used["resources"] == {"VCPU": 1, "MEMORY_MB": 512, "DISK_GB": 1}
    assert held["project_id"] == "d" * 32
    sums = ask("GET", f"/usages?project_id={'d' * 32}").body["usages"]
    assert sums["MEMORY_MB"] == 512
    assert ask("GET", "/resource_providers", who="demo").status == 403


def test_who_is_late_is_refused(site: ComputeSite) -> None:
    ask = Placement(site)
    made = ask("POST", "/resource_providers", {"name": "shelf"}).body
    path = f"/resource_providers/{made['uuid']}/inventories"
    body = {"resource_provider_generation": 0, "inventories": {"VCPU": {"total": 4}}}
    assert ask("PUT", path, body).status == 200
    late = ask("PUT", path, body)
    assert late.status == 409
    assert late.body["errors"][0]["code"] == "placement.concurrent_update"
    claim = {
        "allocations": {made["uuid"]: {"resources": {"VCPU": 3}}},
        "project_id": "p",
        "user_id": "u",
        "consumer_generation": None,
    }
    assert ask("PUT", f"/allocations/{CONSUMER}", claim).status == 204
    assert ask("PUT", f"/allocations/{CONSUMER}", claim).status == 409
    more = {**claim, "consumer_generation": 1}
    more["allocations"] = {made["uuid"]: {"resources": {"VCPU": 5}}}
    assert ask("PUT", f"/allocations/{CONSUMER}", more).status == 409
    assert ask("DELETE", f"/resource_providers/{made['uuid']}").status == 409
    assert ask("DELETE", f"/allocations/{CONSUMER}").status == 204
    assert ask("DELETE", f"/resource_providers/{made['uuid']}").status == 204


def test_candidates_are_asked_for_by_resources_and_traits(small: ComputeSite) -> None:
    ask = Placement(small)
    small.add_host("able", traits=("HW_CPU_X86_AVX2",))
    path = "/allocation_candidates?resources=VCPU:1,MEMORY_MB:512"
    assert len(ask("GET", path).body["allocation_requests"]) == 3
    found = ask("GET", f"{path}&required=HW_CPU_X86_AVX2").body
    assert len(found["allocation_requests"]) == 1
    assert len(ask("GET", f"{path}&required=!HW_CPU_X86_AVX2").body["allocation_requests"]) == 2
    assert len(ask("GET", f"{path}&limit=1").body["allocation_requests"]) == 1
    assert ask("GET", "/allocation_candidates?resources=VCPU").status == 400


def test_traits_and_classes_of_ones_own(small: ComputeSite) -> None:
    ask = Placement(small)
    assert ask("PUT", "/traits/CUSTOM_GOLD").status == 201
    assert ask("PUT", "/traits/CUSTOM_GOLD").status == 204
    assert ask("PUT", "/traits/GOLD").status == 400
    assert "CUSTOM_GOLD" in ask("GET", "/traits?name=startswith:CUSTOM").body["traits"]
    assert ask("PUT", "/resource_classes/CUSTOM_BAR").status == 201
    assert ask("DELETE", "/resource_classes/CUSTOM_BAR").status == 204


def host(name: str, room: int, **columns: Any) -> HostView:
    stocks = {"VCPU": Stock(64, 0), "MEMORY_MB": Stock(1000, 1000 - room)}
    return HostView(name, name, "nova", columns.pop("alive", True), True, stocks, **columns)


def test_reasons_name_host_filter_and_amount() -> None:
    hosts = [host("a", 100), host("b", 900, alive=False), host("c", 700), host("d", 800)]
    verdict = schedule.choose(hosts, Ask({"MEMORY_MB": 612}))
    assert verdict.host is not None
    assert verdict.host.name == "d"
    said = {one[0]: one[2] for one in verdict.reasons}
    assert said["a"] == "MB of RAM short by 512"
    assert said["b"] == "it is down"
    nobody = schedule.choose(hosts, Ask({"MEMORY_MB": 2000}))
    assert nobody.host is None
    assert nobody.summary().startswith("No valid host was found. a: ")


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    rooms=st.lists(st.integers(0, 1000), min_size=1, max_size=8),
    wanted=st.integers(1, 1000),
)
def test_the_choice_fits_and_is_found_when_there_is_one(rooms: list[int], wanted: int) -> None:
    hosts = [host(f"h{at}", room) for at, room in enumerate(rooms)]
    verdict = schedule.choose(hosts, Ask({"MEMORY_MB": wanted}))
    assert (verdict.host is None) == (max(rooms) < wanted)
    assert len(verdict.reasons) == len(hosts)
    if verdict.host is not None:
        assert verdict.host.stocks["MEMORY_MB"].room == max(rooms)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(rooms=st.lists(st.integers(0, 8), min_size=1, max_size=4), wanted=st.integers(1, 8))
def test_candidates_never_exceed_what_is_there(rooms: list[int], wanted: int) -> None:
    offers = [
        Offer(f"p{at}", "root", None, {"VCPU": Stock(room, 0)}, {}, {}, frozenset(), frozenset())
        for at, room in enumerate(rooms)
    ]
    groups = [Group("_a", {"VCPU": wanted}), Group("_b", {"VCPU": wanted})]
    for isolate in (False, True):
        for one in candidates(offers, groups, isolate=isolate):
            for name, held in one.amounts.items():
                assert held["VCPU"] <= rooms[int(name[1:])]
            assert not isolate or len(one.amounts) == 2
