from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ring.build import build
from ring.report import count_crowded, report_table
from ring.tree import grow
from tests.model import rings


def test_an_even_ring_reports_no_distance_from_its_shares() -> None:
    """Four equal nodes, 64 partitions: 48 each."""
    report = report_table(build(rings.draft(rings.devices(1, 4, 1)), None).epoch, 3)
    assert (report.balance_percent, report.dispersion_percent) == (0, 0)
    assert [row.held for row in report.rows] == [48] * 4


def test_balance_is_given_against_the_share_and_against_the_weight() -> None:
    """A lone device in its zone holds a replica of everything, a third more than its weight."""
    devices = [rings.device(n, zone=zone, node=n) for n, zone in enumerate((1, 2, 3, 3))]
    report = report_table(build(rings.draft(devices), None).epoch, 3)
    assert report.balance_percent == 0
    assert report.weight_balance_percent == pytest.approx(100 / 3)


def test_weights_kept_at_the_cost_of_distance_show_as_dispersion() -> None:
    """Overload 0: a quarter of the partitions cannot have three zones."""
    devices = [rings.device(n, zone=zone, node=n) for n, zone in enumerate((1, 2, 3, 3))]
    report = report_table(build(rings.draft(devices, overload=0.0), None).epoch, 3)
    assert report.weight_balance_percent == 0
    assert report.dispersion_percent == 50


def test_the_json_form_has_a_row_for_each_device() -> None:
    """What `ringstack ring status --json` prints for a table."""
    document = report_table(build(rings.draft(rings.devices(1, 3, 1)), None).epoch, 3).to_json()
    assert document["width"] == 3
    assert document["devices"][2] == {
        "device": 2,
        "partitions": 64,
        "share": 64.0,
        "by_weight": 64.0,
        "off_percent": 0.0,
    }


@given(
    st.lists(
        st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(1, 2), st.sampled_from([0, 1])),
        min_size=4,
        max_size=8,
    ),
    st.data(),
)
def test_crowded_partitions_are_those_a_naive_judge_finds(
    places: list[tuple[int, int, int, int]], data: st.DataObject
) -> None:
    """For any row of any topology, device twice and weight zero included."""
    devices = [
        rings.device(n, region=region, zone=zone, node=node, weight=weight)
        for n, (region, zone, node, weight) in enumerate(places)
    ]
    width = data.draw(st.integers(1, 4))
    row = data.draw(st.lists(st.integers(0, len(devices) - 1), min_size=width, max_size=width))
    if sum(one.weight > 0 for one in devices) < width:
        return
    crowded = count_crowded(row, width, grow(devices), [one.weight for one in devices])
    assert crowded == (not rings.is_farthest(row, devices))
