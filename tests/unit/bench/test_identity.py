"""The identity benchmark: what it sends, what it counts, what it says."""

from __future__ import annotations

import json

from bench.identity import Account, Figure, Report, login_body, offline, show
from core.real import RealEnv

ACCOUNT = Account("ringstack", "http://127.0.0.1:1/identity", "me", "pw", "mine", [])


def test_a_log_in_is_for_a_project() -> None:
    """By password, in the default domain."""
    auth = json.loads(login_body(ACCOUNT))["auth"]
    assert auth["identity"]["password"]["user"]["password"] == "pw"
    assert auth["scope"]["project"]["name"] == "mine"


def test_offline_verification_counts_each_token() -> None:
    """New ones and a known one, without errors."""
    new, known = offline(RealEnv(), 200)
    assert new.rate > 0
    assert known.rate > 0
    assert new.errors == known.errors == 0


def test_a_report_compares_with_the_peer(capsys) -> None:
    """In a table, as JSON, and by how many times."""
    figures = [
        Figure("ringstack", "validation", 500.0, 1.0, 2.0, 0, 1.0),
        Figure("Keystone", "validation", 20.0, 1.0, 2.0, 1, 1.0),
    ]
    report = Report(figures, {"ringstack": 2**20})
    assert report.ratio("validation", "Keystone") == 25
    assert report.ratio("log-in", "Keystone") is None
    assert report.errors == 1
    assert json.loads(json.dumps(report.to_json()))["figures"][0]["rate"] == 500.0
    show(report)
    assert "25.0 times Keystone's" in capsys.readouterr().out
