"""Networking in the API process: its service and its door."""

from __future__ import annotations

from dataclasses import dataclass

from apid.doors import door
from authd.authority import Authority
from core.api.app import App
from core.installation import Config, Installation, host_of
from core.policy import Policy
from core.service_identity import ServiceIdentity
from networkd.app import PREFIX, make_app, prepare
from networkd.notices import Notices
from networkd.rules import RULES
from networkd.service import Service

TYPE = "network"


@dataclass(frozen=True)
class Networks:
    """The API, and what works beside it."""

    app: App
    notices: Notices


async def open_networks(
    authority: Authority, installation: Installation, config: Config
) -> Networks:
    """Bring the tables up to date and put the service together."""
    service = Service(
        authority.env,
        authority.database,
        Policy(RULES, installation.policy / "network.yaml"),
        started_us=authority.env.wall_us(),
    )
    await prepare(service)
    address = f"http://{host_of(config)}:{config.api_port}"
    identity = ServiceIdentity(authority.env, authority.keyring)
    notices = Notices(service, f"{address}/compute", identity)
    return Networks(make_app(service, door(authority, TYPE, PREFIX), address), notices)
