"""Block storage in the API process: its service over the volumes of the cloud, its neighbours, its door, its worker."""

from __future__ import annotations

from dataclasses import dataclass

from apid.doors import door
from apid.storage import Storage
from authd.authority import Authority
from blockd import settings
from blockd.app import PREFIX, make_app, prepare, worker_of
from blockd.calls import DaemonExports
from blockd.neighbours import HttpImages, HttpServers, SwiftChunks
from blockd.rules import RULES
from blockd.s3_chunks import S3Chunks
from blockd.service import Service
from core.api.app import App
from core.installation import Config, Installation, host_of
from core.policy import Policy
from core.service_identity import ServiceIdentity
from core.worker import Worker

TYPE = "block-storage"


@dataclass(frozen=True)
class Blocks:
    """The API, what works beside it, and the line to the daemon that exports volumes."""

    app: App
    worker: Worker[Service]
    exports: DaemonExports

    def close(self) -> None:
        """Let go of the line."""
        self.exports.stop()


async def open_blocks(
    authority: Authority, storage: Storage, installation: Installation, config: Config
) -> Blocks:
    """Bring the tables up to date and put the service together; `worker.run_for_ever` is the caller's to run."""
    env, host = authority.env, host_of(config)
    key = installation.secrets().cluster_key
    exports = DaemonExports(env, installation.block_socket, key)
    exports.start()
    identity = ServiceIdentity(env, authority.keyring)
    api = f"http://{host}:{config.api_port}"
    target = settings.load(installation.policy / settings.FILE).backup_target
    own_store = SwiftChunks(f"http://{host}:{config.object_port}", identity)
    service = Service(
        env,
        authority.database,
        Policy(RULES, installation.policy / "block.yaml"),
        storage.volumes,
        exports,
        HttpImages(f"{api}/image", identity),
        own_store if target is None else S3Chunks(env, target),
        config.node,
        HttpServers(f"{api}/compute", identity),
    )
    await prepare(service)
    app = make_app(service, door(authority, TYPE, PREFIX), api)
    return Blocks(app, worker_of(service), exports)
