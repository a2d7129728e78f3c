"""Networking as openstacksdk uses it, against real processes: a project's day, a race, and a service that is killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openstack
import pytest
from keystoneauth1.exceptions import ClientException
from openstack.connection import Connection
from openstack.exceptions import ConflictException, HttpException, SDKException

from tests.network_host import ReportingHost
from tests.running_cloud import RunningCloud

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
SETTLE_S = 30.0


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    """A cloud for this module, with a host that does what it is told."""
    running = RunningCloud(tmp_path_factory.mktemp("networks") / "data")
    running.up()
    with ReportingHost(running.data, running.env["OS_AUTH_URL"]):
        yield running
    running.end()


@pytest.fixture
def sdk(cloud: RunningCloud) -> Iterator[Connection]:
    """openstacksdk, as the administrator."""
    env = cloud.env
    connection = openstack.connect(
        auth_url=env["OS_AUTH_URL"],
        username=env["OS_USERNAME"],
        password=env["OS_PASSWORD"],
        project_name=env["OS_PROJECT_NAME"],
        user_domain_id="default",
        project_domain_id="default",
        region_name=env["OS_REGION_NAME"],
        load_yaml_config=False,
        load_envvars=False,
    )
    yield connection
    connection.close()


def until(look: Any, wanted: Any) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + SETTLE_S
    while look() != wanted:
        assert time.monotonic() < deadline, look()
        time.sleep(0.1)


def test_a_project_spends_its_day(sdk: Connection) -> None:
    """Networks, a router with a way out, a guest's port that comes up, an address to reach it, and all of it gone."""
    net = sdk.network
    outside = net.create_network(
        name="outside",
        is_router_external=True,
        provider_network_type="flat",
        provider_physical_network="day",
    )
    net.create_subnet(
        network_id=outside.id, cidr="203.0.113.0/24", ip_version=4, is_dhcp_enabled=False
    )
    inner = net.create_network(name="inner")
    subnet = net.create_subnet(network_id=inner.id, cidr="10.0.0.0/24", ip_version=4)
    router = net.create_router(name="r", external_gateway_info={"network_id": outside.id})
    net.add_interface_to_router(router, subnet_id=subnet.id)
    port = net.create_port(
        network_id=inner.id, binding_host_id="host1", device_owner="compute:nova", device_id="x"
    )
    assert port.binding_vif_type == "tap"
    until(lambda: net.get_port(port.id).status, "ACTIVE")
    floating = net.create_ip(floating_network_id=outside.id, port_id=port.id)
    until(lambda: net.get_ip(floating.id).status, "ACTIVE")
    serving = next(iter(net.ports(network_id=inner.id, device_owner="network:dhcp")))
    assert serving.binding_host_id == "host1"
    with pytest.raises(ConflictException):
        net.delete_network(inner, ignore_missing=False)
    with pytest.raises(ConflictException):
        net.update_router(router, external_gateway_info={})
    net.delete_ip(floating)
    net.delete_port(port)
    net.remove_interface_from_router(router, subnet_id=subnet.id)
    net.delete_router(router)
    net.delete_network(inner)
    net.delete_network(outside)
    assert [one.name for one in net.networks(name="inner")] == []


def test_many_at_once_share_no_address(sdk: Connection, cloud: RunningCloud) -> None:
    """Ports made by several clients while the service is killed: no address twice, and none lost."""
    net = sdk.network
    home = net.create_network(name="race")
    net.create_subnet(network_id=home.id, cidr="10.7.0.0/26", ip_version=4)

    def make(number: int) -> str | None:
        if number == 12:
            os.kill(cloud.pid("apid"), signal.SIGKILL)
        for _ in range(100):
            try:
                return str(net.create_port(network_id=home.id).fixed_ips[0]["ip_address"])
            except HttpException as error:
                if error.status_code == 409:
                    return None
                time.sleep(0.1)
            except (SDKException, ClientException):
                time.sleep(0.1)
        pytest.fail("the service does not come back")

    with ThreadPoolExecutor(4) as pool:
        made = [one for one in pool.map(make, range(30)) if one is not None]
    held = [port.fixed_ips[0]["ip_address"] for port in net.ports(network_id=home.id)]
    assert len(set(held)) == len(held)
    assert set(made) <= set(held)
    assert len(made) == 30
