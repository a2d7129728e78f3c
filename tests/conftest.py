"""For every test: Hypothesis without deadlines, derandomised in CI; a PostgreSQL server for those that want one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.postgres import PostgresServer
from tests.scheduling import ByFile

settings.register_profile(
    "ci", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("dev", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """How tests are shared among workers."""
    return ByFile(config, log)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The server, started when the first test needs it."""
    server = PostgresServer()
    yield server
    server.stop()
