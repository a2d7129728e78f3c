"""Ratios: ourselves beside the peer, and beside what the machine could do at most. Pure.

A floor says how many times the peer's rate ours has to be; for CPU time, how many times the peer's cost
of an operation ours must fit into. Only figures of one run are compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from bench.figure import (
    GET,
    GET_STREAM,
    KIB,
    LIST,
    LISTED_NAMES,
    PUT,
    PUT_STREAM,
    STREAM_BYTES,
    Case,
    Ceilings,
    Figure,
)

Figures = Mapping[tuple[str, Case], Figure]

SMALL_PUT = Case(PUT, 4 * KIB, 16)
SMALL_GET = Case(GET, 4 * KIB, 16)
LISTING = Case(LIST, LISTED_NAMES, 1)
STREAM_IN = Case(PUT_STREAM, STREAM_BYTES, 1)
STREAM_OUT = Case(GET_STREAM, STREAM_BYTES, 1)

RATE_FLOORS = (
    (SMALL_PUT, 25.0),
    (SMALL_GET, 15.0),
    (LISTING, 15.0),
    (STREAM_IN, 1.5),
    (STREAM_OUT, 2.0),
)
CPU_FLOORS = ((SMALL_PUT, 15.0), (SMALL_GET, 15.0), (LISTING, 15.0))
COPIES = 3


class Verdict(NamedTuple):
    """`ratio` is ours over theirs, or theirs over ours where less is better."""

    what: str
    target: str
    ours: float
    theirs: float
    ratio: float
    floor: float

    @property
    def met(self) -> bool:
        """The ratio reaches the floor."""
        return self.ratio >= self.floor

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        fields = {
            name: round(v, 3) if isinstance(v, float) else v for name, v in self._asdict().items()
        }
        return {**fields, "met": self.met}


class Share(NamedTuple):
    """How much of a ceiling is reached: `ours` of `ceiling`, in the same unit."""

    what: str
    target: str
    ours: float
    ceiling: float

    @property
    def ratio(self) -> float:
        """Share of the ceiling."""
        return self.ours / self.ceiling if self.ceiling else 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "what": self.what,
            "target": self.target,
            "ours": round(self.ours, 2),
            "ceiling": round(self.ceiling, 2),
            "ratio": round(self.ratio, 4),
        }


def by_case(figures: Iterable[Figure]) -> Figures:
    """Figures by target and case."""
    return {(figure.target, figure.case): figure for figure in figures}


def verdicts(figures: Figures, targets: Iterable[str], peer: str) -> list[Verdict]:
    """Each floor, for each of our targets that was measured beside the peer."""
    found = []
    targets = list(targets)
    for case, floor in RATE_FLOORS:
        for target in targets:
            ours, theirs = figures.get((target, case)), figures.get((peer, case))
            if ours and theirs and theirs.rate:
                what = f"{case.title}, {at_once(case)}"
                ratio = ours.rate / theirs.rate
                found.append(Verdict(what, target, ours.rate, theirs.rate, ratio, floor))
    for case, floor in CPU_FLOORS:
        for target in targets:
            ours, theirs = figures.get((target, case)), figures.get((peer, case))
            if ours and theirs and ours.cpu_ms:
                what = f"CPU ms per {case.title}"
                ratio = theirs.cpu_ms / ours.cpu_ms
                found.append(Verdict(what, target, ours.cpu_ms, theirs.cpu_ms, ratio, floor))
    return found


def shares(figures: Figures, targets: Iterable[str], ceilings: Ceilings) -> list[Share]:
    """What each target reaches of the machine's own ceilings, with three copies of all data."""
    bounds = (
        ("4 KiB PUTs of synced appends", SMALL_PUT, ceilings.synced_blocks_per_second / COPIES),
        ("4 KiB GETs of a bare server's", SMALL_GET, ceilings.bare_answers_per_second),
        ("256 MiB PUT of sequential writes", STREAM_IN, ceilings.write_mb_per_second / COPIES),
        ("256 MiB PUT of one core's MD5", STREAM_IN, ceilings.md5_mb_per_second),
        ("256 MiB GET of cached reads", STREAM_OUT, ceilings.read_mb_per_second),
    )
    return [
        Share(what, target, figures[target, case].rate, bound)
        for what, case, bound in bounds
        for target in targets
        if (target, case) in figures
    ]


def at_once(case: Case) -> str:
    """How many connections, in words."""
    return "1 connection" if case.connections == 1 else f"{case.connections} connections"
