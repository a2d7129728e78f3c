from __future__ import annotations

import json
from array import array

import pytest

from bench.ring import judge, main
from tests.model import rings


def test_judging_counts_moved_replicas_against_the_least(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One replica of four moved where a new fourth device should receive three."""
    devices = rings.devices(1, 4, 1)
    before = array("H", [0, 1, 2] * 4)
    after = array("H", [0, 1, 2] * 3 + [3, 1, 2])
    figures = judge(devices, after, before=before)
    assert (figures["moved"], figures["least"]) == (1, 3.0)
    assert figures["balance_percent"] == pytest.approx(200 / 3)
    assert figures["dispersion_percent"] == 0


def test_the_benchmark_prints_figures_for_each_change(capsys: pytest.CaptureFixture[str]) -> None:
    """A small ring, without a peer."""
    assert main(["--json", "--part-power", "10"]) == 0
    report = json.loads(capsys.readouterr().out)
    results = report["builders"]["ringstack"]["results"]
    assert list(results) == ["first build", "10 in a new node", "2 in each zone"]
    assert all(result["dispersion_percent"] == 0 for result in results.values())
    assert main(["--part-power", "6"]) == 0
    assert "peak memory" in capsys.readouterr().out
