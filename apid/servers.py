"""Servers in the API process: the compute service, its neighbours, its door, its worker."""

from __future__ import annotations

from dataclasses import dataclass

from apid.doors import door
from authd.authority import Authority
from computed.app import PREFIX, make_app, prepare, worker_of
from computed.neighbours import HttpDaemons, HttpImages, HttpNetworks, HttpVolumes
from computed.placement import app as placement
from computed.rules import RULES
from computed.service import Service
from core.api.app import App
from core.installation import Config, Installation, host_of
from core.policy import Policy
from core.service_identity import ServiceIdentity
from core.worker import Worker

TYPE = "compute"
PLACEMENT_TYPE = "placement"


@dataclass(frozen=True)
class Servers:
    """The API, and what works beside it."""

    app: App
    placement: App
    worker: Worker[Service]


async def open_servers(authority: Authority, installation: Installation, config: Config) -> Servers:
    """Bring the tables up to date and put the service together; `worker.run_for_ever` is the caller's to run."""
    env, host = authority.env, host_of(config)
    identity = ServiceIdentity(env, authority.keyring)
    api = f"http://{host}:{config.api_port}"
    service = Service(
        env,
        authority.database,
        Policy(RULES, installation.policy / "compute.yaml"),
        HttpNetworks(f"{api}/network", identity),
        HttpVolumes(f"{api}/volume/v3", identity),
        HttpImages(f"{api}/image", identity),
        HttpDaemons(identity),
        config.node,
    )
    await prepare(service)
    app = make_app(service, door(authority, TYPE, PREFIX), api)
    door_too = door(authority, PLACEMENT_TYPE, placement.PREFIX)
    return Servers(app, placement.make_app(service, door_too, api), worker_of(service))
