from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from bench.connection import Failed
from bench.object import OPERATIONS, SIZES
from bench.target import target_of_endpoint
from cli.bench import CHOICES, bench
from cli.main import main


@pytest.mark.parametrize(
    "arguments",
    [
        ["object", "--api", "ftp"],
        ["object", "--operations", ""],
        ["object", "--data", "/nowhere", "--own"],
        ["mixed", "--data", "/nowhere", "--own"],
    ],
)
def test_what_makes_no_sense_is_refused(arguments):
    """With a usage message, before anything is started."""
    result = CliRunner().invoke(bench, arguments)
    assert result.exit_code == 2
    assert "Usage" in result.output


def test_a_cloud_that_is_down_is_named(tmp_path):
    """With what to do about it."""
    result = CliRunner().invoke(main, ["bench", "object", "--data", str(tmp_path / "none")])
    assert result.exit_code == 1
    assert "ringstack up" in result.output


@pytest.mark.slow
def test_both_apis_are_measured_on_a_cloud_of_its_own(tmp_path):
    """Every case has operations and no errors; the cloud is gone afterwards."""
    arguments = ["bench", "object", "--seconds", "0.2", "--rounds", "1", "--json"]
    result = CliRunner().invoke(main, [*arguments, "--scratch", str(tmp_path)])
    assert result.exit_code == 0, result.output
    report = json.loads(result.output)
    assert len(report["figures"]) == 2 * (4 * 3 * 2 + 2 + 3)
    assert report["errors"] == {}
    for figure in report["figures"]:
        assert figure["operations"] > 0
        assert figure["server_cpu_ms_per_operation"] >= 0
        assert 0 < figure["p50_ms"] <= figure["p99_ms"]
    assert report["memory_bytes"]["ringstack s3"] > 1 << 26
    assert list(tmp_path.iterdir()) == []


def test_the_command_offers_what_the_benchmark_can_do():
    """The lists are written twice, so that `--help` needs no heavy imports."""
    assert CHOICES["operations"] == OPERATIONS
    assert CHOICES["sizes"] == tuple(SIZES)


def test_a_peer_without_credentials_is_refused():
    """With the name of what is missing."""
    with pytest.raises(Failed, match="PEER_SECRET_ACCESS_KEY"):
        target_of_endpoint("http://127.0.0.1:1", [], {"PEER_ACCESS_KEY_ID": "a"})
