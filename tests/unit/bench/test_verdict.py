from __future__ import annotations

import json

import pytest

from bench.figure import Case, Ceilings, Figure, size_text
from bench.report import Report, number_text, show
from bench.verdict import LISTING, RATE_FLOORS, SMALL_PUT, STREAM_IN, by_case, shares, verdicts

CEILINGS = Ceilings(30_000, 900, 8000, 600, 1800, 50_000, 30_000)
OURS, PEER = "ringstack s3", "OpenStack Swift"


def figure(target, case, operations, *, cpu=1.0, errors=None):
    return Figure(target, case, operations, 2.0, 1.5, 9.0, cpu, 0.1, errors or {})


def test_ratios_are_of_rates_and_of_cost():
    """30 times the rate is above the floor of 25; a third of the cost is below that of a fifteenth."""
    figures = by_case(
        [figure(OURS, SMALL_PUT, 3000, cpu=10.0), figure(PEER, SMALL_PUT, 100, cpu=1.0)]
    )
    rate, cost = verdicts(figures, [OURS], PEER)
    assert (rate.ratio, rate.floor, rate.met) == (30, 25, True)
    assert (cost.ratio, cost.floor, cost.met) == (pytest.approx(3), 15, False)


def test_what_was_not_measured_on_both_sides_has_no_verdict():
    """Also when the peer did nothing at all."""
    alone = by_case([figure(OURS, SMALL_PUT, 10)])
    assert verdicts(alone, [OURS], PEER) == []
    idle = by_case([figure(OURS, LISTING, 10, cpu=0.0), figure(PEER, LISTING, 0)])
    assert verdicts(idle, [OURS], PEER) == []


def test_every_floor_has_its_case_in_the_plan():
    """Otherwise a floor would silently never be judged."""
    from bench.object import CONNECTIONS, LIST_CONNECTIONS, SIZES

    for case, _ in RATE_FLOORS:
        if case.streamed:
            assert case.connections == 1
        elif case.operation == "LIST":
            assert case.connections in LIST_CONNECTIONS
        else:
            assert case.size in SIZES.values()
            assert case.connections in CONNECTIONS


def test_three_copies_share_the_disk():
    """A stream of 100 MB/s is a third of a disk that writes 900, and a sixth of MD5's 600."""
    seconds = STREAM_IN.size / 1e6 / 100
    found = Figure(OURS, STREAM_IN, 1, seconds, 1.0, 1.0, 1.0, 0.1, {})
    disk, md5 = shares(by_case([found]), [OURS], CEILINGS)
    assert disk.ratio == pytest.approx(1 / 3)
    assert md5.ratio == pytest.approx(1 / 6)


def report(errors=None):
    figures = [
        figure(OURS, SMALL_PUT, 3000, cpu=2.0, errors=errors),
        figure(PEER, SMALL_PUT, 100, cpu=1.0),
    ]
    return Report(figures, CEILINGS, {OURS: 2**28, PEER: 2**29}, {"rounds": 2}, PEER)


def test_the_report_is_plain_data(capsys):
    """It can be written as JSON and has the verdict in it."""
    document = json.loads(json.dumps(report().to_json()))
    assert document["verdicts"][0]["met"] is True
    assert document["figures"][0]["operations_per_second"] == 1500
    assert document["errors"] == {}


def test_the_tables_show_ratios_first_and_never_hide_an_error(capsys):
    """Plain lines, because the output is no terminal."""
    show(report({"GET of wrong bytes": 2}))
    text = capsys.readouterr().out
    assert text.startswith("Beside OpenStack Swift")
    assert "30.0 x" in text
    assert "ERRORS 2 of ringstack s3: PUT 4 KiB: GET of wrong bytes" in text
    assert "memory of ringstack s3: 256 MiB" in text


def test_titles_and_numbers_are_short():
    """As they stand in a table."""
    assert Case("LIST", 10_000, 1).title == "LIST 10,000 names"
    assert Case("PUT", 1 << 20, 1).title == "PUT 1 MiB"
    assert size_text(5) == "5 B"
    assert [number_text(value) for value in (0.1234, 12.34, 123.4, 12345.6)] == [
        "0.12",
        "12.3",
        "123",
        "12,346",
    ]
