"""The kernel's own tools take whatever a plan says: rules for nft, files for dnsmasq."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from networkd.agent.dnsmasq import configuration
from networkd.plan.ground import Ground
from networkd.plan.plan import Plan
from networkd.plan.state import plan
from networkd.plan.step import Rules, transaction
from networkd.port import HostState
from tests.network_lab import install, run
from tests.network_states import states

pytestmark = pytest.mark.slow
GROUND = Ground("rs-12345678", tunnel_address="192.0.2.1")


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    """An empty network namespace."""
    install()
    name = f"lab-rules-{os.getpid()}"
    run("ip", "netns", "add", name)
    yield name
    run("ip", "netns", "del", name)


def rules_of(wanted: Plan) -> list[str]:
    spaces = (space for space in wanted.spaces.values() if space.tables)
    return [transaction(Rules(space.name, space.tables)) for space in spaces]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(states())
def test_nft_takes_every_ruleset(namespace: str, state: HostState) -> None:
    """Rules of all protocols, ranges, remote groups, pairs, translations: loaded into a real kernel."""
    for text in rules_of(plan(state, GROUND)):
        done = subprocess.run(
            ("ip", "netns", "exec", namespace, "nft", "-f", "-"),
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{done.stderr}\n{text}"


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(states())
def test_dnsmasq_takes_every_configuration(
    tmp_path_factory: pytest.TempPathFactory, state: HostState
) -> None:
    """DHCP of both versions, stateless and not, advertisements."""
    install()
    directory: Path = tmp_path_factory.mktemp("dnsmasq")
    for service in plan(state, GROUND).services.values():
        for name, text in service.files.items():
            (directory / name).write_text(text)
        (directory / "config").write_text(configuration(service, directory))
        run("dnsmasq", "--test", f"--conf-file={directory / 'config'}")
