"""The image service in the API process: its library over the volumes of the cloud, its door, its runner."""

from __future__ import annotations

from apid.doors import door
from authd.authority import Authority
from core.installation import Config, Installation, host_of, identity_url
from core.service_identity import ServiceIdentity
from imaged.app import PREFIX, Service, make_service, open_library
from imaged.limits import IdentityLimits
from volume.port import Volumes

TYPE = "image"


async def open_images(
    authority: Authority, volumes: Volumes, installation: Installation, config: Config
) -> Service:
    """Bring the tables up to date and put the service together; `runner.run_for_ever` is the caller's to run."""
    library = await open_library(
        authority.env,
        authority.database,
        volumes,
        data=installation.data,
        policy_file=installation.policy / "image.yaml",
        node=config.node,
        limits=IdentityLimits(
            authority.env, identity_url(config), ServiceIdentity(authority.env, authority.keyring)
        ),
    )
    address = f"http://{host_of(config)}:{config.api_port}"
    return make_service(library, door(authority, TYPE, PREFIX), address)
