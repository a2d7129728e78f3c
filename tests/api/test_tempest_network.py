"""Tempest's `tempest.api.network` against a cloud of real processes, and a host that reports what it is told as done.

What is skipped, and why, is in docs/conformance-network.md; a test that fails, or is skipped and not listed, fails here.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import tempest_run
from tests.network_host import ReportingHost
from tests.running_cloud import RunningCloud

TEST_COUNT_MIN = 235
API = "tempest.api.network."
EXTENDED = "admin.test_ports.PortsAdminExtendedAttrs"
SKIPPED = {
    "setUpClass (admin.test_dhcp_agent_scheduler.DHCPAgentSchedulersTestJSON",
    "setUpClass (admin.test_metering_extensions.MeteringIpV6TestJSON",
    "setUpClass (admin.test_metering_extensions.MeteringTestJSON",
    "setUpClass (admin.test_routers_dvr.RoutersTestDVR",
    "setUpClass (test_routers_negative.DvrRoutersNegativeTest",
    "setUpClass (test_tags.TagsTest",
    *(
        f"{EXTENDED}{family}TestJSON.test_{verb}_port{plural}_binding_ext_attr"
        for family in ("", "IpV6")
        for verb, plural in (("create", ""), ("list", "s"), ("update", ""))
    ),
}


@pytest.fixture(scope="module")
def network_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    """A cloud for this alone."""
    running = RunningCloud(tmp_path_factory.mktemp("tempest-network") / "data")
    running.up()
    with ReportingHost(running.data, running.env["OS_AUTH_URL"]):
        yield running
    running.end()


def outside(cloud: RunningCloud) -> str:
    """The id of a new external network with addresses."""
    made = cloud.run(
        *("openstack", "network", "create", "--external", "--provider-network-type", "flat"),
        *("--provider-physical-network", "street", "street", "-f", "value", "-c", "id"),
    )
    cloud.run(
        *("openstack", "subnet", "create", "--network", "street", "--no-dhcp"),
        *("--subnet-range", "203.0.113.0/24", "street"),
    )
    return made.stdout.strip()


def configuration(cloud: RunningCloud, workspace: Path) -> str:
    """tempest.conf: dynamic credentials, no compute service, the extensions that the service names."""
    env = cloud.env
    aliases = cloud.run(
        "openstack", "extension", "list", "--network", "-f", "value", "-c", "Alias"
    ).stdout.split()
    return f"""\
[DEFAULT]
log_dir = {workspace}/logs
[oslo_concurrency]
lock_path = {workspace}/lock
[auth]
use_dynamic_credentials = true
admin_username = {env["OS_USERNAME"]}
admin_password = {env["OS_PASSWORD"]}
admin_project_name = {env["OS_PROJECT_NAME"]}
admin_domain_name = Default
admin_user_domain_name = Default
admin_project_domain_name = Default
create_isolated_networks = false
[identity]
uri_v3 = {env["OS_AUTH_URL"]}
auth_version = v3
region = {env["OS_REGION_NAME"]}
v3_endpoint_type = public
[identity-feature-enabled]
api_v2 = false
[service_available]
swift = true
glance = true
cinder = true
nova = false
neutron = true
[network]
catalog_type = network
region = {env["OS_REGION_NAME"]}
project_network_cidr = 10.100.0.0/16
project_network_mask_bits = 28
public_network_id = {outside(cloud)}
floating_network_name = street
project_networks_reachable = false
build_timeout = 60
[network-feature-enabled]
api_extensions = {",".join(aliases)}
ipv6 = true
ipv6_subnet_attributes = true
port_security = true
floating_ips = true
[validation]
run_validation = false
"""


@pytest.mark.slow
def test_tempest_finds_the_networking_api_as_documented(
    network_cloud: RunningCloud, tmp_path: Path
) -> None:
    """All of tempest.api.network passes; only what is not built, or needs other services, is skipped."""
    workspace = tmp_path / "workspace"
    results, output = tempest_run.run(
        workspace,
        configuration(network_cloud, workspace),
        r"^tempest\.api\.network",
        concurrency=2,
        timeout_s=600,
    )
    counts = Counter(results.values())
    sys.stdout.write(f"tempest.api.network: {dict(counts)}\n")
    failed = {name for name, result in results.items() if result == "FAILED"}
    assert failed == set(), output[-20_000:]
    assert counts["ok"] >= TEST_COUNT_MIN, output[-5000:]
    skipped = {name.replace(API, "") for name, result in results.items() if result == "SKIPPED"}
    assert skipped == SKIPPED
