"""Which host a server goes to: filters, weighers, and the reasons of both. Pure.

Every filter looks at one host and says why it does not fit, in numbers, or nothing. All hosts that fit are weighed;
equal ones are told apart by name. The reasons are kept, so that "no valid host" is an answer and not a riddle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

VCPU, MEMORY_MB, DISK_GB = "VCPU", "MEMORY_MB", "DISK_GB"
UNITS = {VCPU: "vCPU", MEMORY_MB: "MB of RAM"}
SOFT = {"soft-affinity": 1, "soft-anti-affinity": -1}


class Stock(NamedTuple):
    """What a host has of one class of resources."""

    total: int
    used: int
    reserved: int = 0
    ratio: float = 1.0
    max_unit: int = 2**31 - 1

    @property
    def room(self) -> int:
        """How much more may be claimed."""
        return int((self.total - self.reserved) * self.ratio) - self.used


class HostView(NamedTuple):
    """A host as the scheduler sees it."""

    id: str
    name: str
    zone: str
    alive: bool
    enabled: bool
    stocks: Mapping[str, Stock]
    traits: frozenset[str] = frozenset()
    aggregates: tuple[Mapping[str, str], ...] = ()  # metadata of each
    hypervisor_type: str = ""
    why_disabled: str = ""


class Ask(NamedTuple):
    """What a server needs."""

    resources: Mapping[str, int]
    zone: str = ""
    host: str = ""  # the only one that will do
    required: frozenset[str] = frozenset()
    forbidden: frozenset[str] = frozenset()
    aggregate_specs: Mapping[str, str] = {}
    image: Mapping[str, str] = {}
    policy: str = ""
    group_hosts: Mapping[str, int] = {}  # host: how many of the group are there
    group_most: int = 1  # of an anti-affinity group on one host
    excluded: frozenset[str] = frozenset()
    same_host: frozenset[str] = frozenset()
    different_host: frozenset[str] = frozenset()


class Verdict(NamedTuple):
    """The host chosen, or none; `reasons`: why each of the others did not fit, or how it weighed."""

    host: HostView | None
    reasons: tuple[tuple[str, str, str], ...]  # host, filter or weigher, what it said

    def summary(self) -> str:
        """The reasons in one line, for the fault of a server."""
        if not self.reasons:
            return "No valid host was found. There is no host."
        shown = "; ".join(f"{host}: {why}" for host, _, why in self.reasons[:5])
        more = len(self.reasons) - 5
        return f"No valid host was found. {shown}" + (f"; and {more} more" if more > 0 else "")


Filter = Callable[[HostView, Ask], str]


def is_named(host: HostView, ask: Ask) -> str:
    """Only the host that was asked for."""
    return f"it is not {ask.host}" if ask.host and host.name != ask.host else ""


def is_not_excluded(host: HostView, ask: Ask) -> str:
    """Not where the server is to leave."""
    return "the server is to leave it" if host.name in ask.excluded else ""


def is_up(host: HostView, ask: Ask) -> str:
    """Its daemon reports, and no operator has disabled it."""
    del ask
    if not host.enabled:
        return "it is disabled" + (f" ({host.why_disabled})" if host.why_disabled else "")
    return "" if host.alive else "it is down"


def is_in_zone(host: HostView, ask: Ask) -> str:
    """In the availability zone that was asked for."""
    if ask.zone and host.zone != ask.zone:
        return f"it is in zone {host.zone}, not {ask.zone}"
    return ""


def has_room(host: HostView, ask: Ask) -> str:
    """Enough of everything; disks are on the ring and not on the host, so they are not looked at."""
    short = []
    for name, unit in UNITS.items():
        wanted = ask.resources.get(name, 0)
        stock = host.stocks.get(name, Stock(0, 0))
        if wanted > stock.max_unit:
            short.append(f"{wanted} {unit} are more than one server may have there")
        elif wanted > stock.room:
            short.append(f"{unit} short by {wanted - stock.room}")
    return ", ".join(short)


def has_traits(host: HostView, ask: Ask) -> str:
    """What flavor and image require and forbid."""
    missing = sorted(ask.required - host.traits)
    unwanted = sorted(ask.forbidden & host.traits)
    said = [f"it lacks {', '.join(missing)}"] if missing else []
    return ", ".join(said + ([f"it has {', '.join(unwanted)}"] if unwanted else []))


def fits_aggregates(host: HostView, ask: Ask) -> str:
    """Each spec of the flavor holds in some aggregate of the host."""
    for key, wanted in ask.aggregate_specs.items():
        values = {
            value.strip()
            for one in host.aggregates
            for value in one.get(key, "").split(",")
            if value
        }
        if not matches(wanted, values):
            held = ", ".join(sorted(values)) or "nothing"
            return f"{key} is {held}, not {wanted}"
    return ""


def matches(wanted: str, values: set[str]) -> bool:
    """A value, or `<or> a <or> b`."""
    choices = {one.strip() for one in wanted.split("<or>") if one.strip()}
    return bool(choices & values)


def fits_image(host: HostView, ask: Ask) -> str:
    """The kind of hypervisor that the image was made for."""
    wanted = ask.image.get("img_hv_type", "") or ask.image.get("hypervisor_type", "")
    if wanted and wanted.lower() != host.hypervisor_type.lower():
        return f"the image wants {wanted}, the host runs {host.hypervisor_type}"
    return ""


def fits_group(host: HostView, ask: Ask) -> str:
    """Together or apart, as the server's group demands."""
    here = ask.group_hosts.get(host.name, 0)
    if ask.policy == "affinity" and ask.group_hosts and not here:
        return f"its group is on {', '.join(sorted(ask.group_hosts))}"
    if ask.policy == "anti-affinity" and here >= ask.group_most:
        return f"{here} of its group are there already"
    return ""


def fits_hints(host: HostView, ask: Ask) -> str:
    """With or without certain servers."""
    if ask.same_host and host.name not in ask.same_host:
        return f"not the same host as {', '.join(sorted(ask.same_host))}"
    if host.name in ask.different_host:
        return "a server that it is not to meet is there"
    return ""


FILTERS: Mapping[str, Filter] = {
    "host": is_named,
    "excluded": is_not_excluded,
    "up": is_up,
    "zone": is_in_zone,
    "room": has_room,
    "traits": has_traits,
    "aggregates": fits_aggregates,
    "image": fits_image,
    "group": fits_group,
    "hints": fits_hints,
}


def weight(host: HostView, ask: Ask) -> float:
    """More free memory and processors, in shares of the whole, are better; a soft policy outweighs both."""
    found = 0.0
    for name in UNITS:
        stock = host.stocks.get(name)
        if stock is not None and stock.total:
            found += stock.room / (stock.total * stock.ratio)
    sign = SOFT.get(ask.policy, 0)
    return found + 10 * sign * ask.group_hosts.get(host.name, 0)


def choose(hosts: Sequence[HostView], ask: Ask) -> Verdict:
    """The best host that fits."""
    reasons: list[tuple[str, str, str]] = []
    best: tuple[float, HostView] | None = None
    for host in hosts:
        for name, check in FILTERS.items():
            why = check(host, ask)
            if why:
                reasons.append((host.name, name, why))
                break
        else:
            weighed = weight(host, ask)
            reasons.append((host.name, "weight", f"{weighed:.3f}"))
            if best is None or (-weighed, host.name) < (-best[0], best[1].name):
                best = (weighed, host)
    return Verdict(best[1] if best else None, tuple(reasons))


def resources_of(flavor: Mapping[str, object], *, local_disk: bool) -> dict[str, int]:
    """What a server of a flavor claims; `resources:CLASS` of its extra specs overrides."""
    disk = int(str(flavor["disk_gb"])) if local_disk else 0
    disk += int(str(flavor["ephemeral_gb"])) + -(-int(str(flavor["swap_mb"])) // 1024)
    found = {
        VCPU: int(str(flavor["vcpus"])),
        MEMORY_MB: int(str(flavor["ram_mb"])),
        DISK_GB: disk,
    }
    specs = flavor["extra_specs"]
    assert isinstance(specs, dict)
    for key, value in specs.items():
        if key.startswith("resources:") and str(value).isdigit():
            found[key.removeprefix("resources:")] = int(value)
    return {name: amount for name, amount in found.items() if amount}


def needs_of(specs: Mapping[str, str], image: Mapping[str, str]) -> Ask:
    """Traits and aggregates that a flavor's extra specs and an image's properties ask for."""
    required: set[str] = set()
    forbidden: set[str] = set()
    for key, value in [*specs.items(), *image.items()]:
        if key.startswith("trait:"):
            (required if value == "required" else forbidden).add(key.removeprefix("trait:"))
    prefix = "aggregate_instance_extra_specs:"
    wanted = {
        key.removeprefix(prefix): value for key, value in specs.items() if key.startswith(prefix)
    }
    return Ask({}, "", "", frozenset(required), frozenset(forbidden), wanted, image)
