"""The API process: every control-plane service on one port, each under its prefix.

`python -m apid.main --data DIR`. It may die at any time: what it acknowledged is in the database, and the other
processes verify tokens without it.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

import msgspec

from apid import blocks, images, networks, servers
from apid.storage import Storage
from authd import housekeeping
from authd.app import PREFIX, make_app, open_authority
from authd.bootstrap import Plan, bootstrap
from authd.followers import Followers
from authd.lookups import LookUps
from blockd.app import PREFIX as VOLUME_PREFIX
from computed.app import PREFIX as COMPUTE_PREFIX
from computed.placement.app import PREFIX as PLACEMENT_PREFIX
from core import keyring as keys
from core import process
from core.api.app import App, refusal
from core.api.fault import JSON, Fault
from core.database import Database
from core.http import HttpServer, Request, Response
from core.installation import Config, Installation, Secrets, host_of
from core.keyring import Keyring
from core.log import AccessLog
from core.metrics import Metrics
from core.real import RealEnv
from imaged.app import PREFIX as IMAGE_PREFIX
from networkd.app import PREFIX as NETWORK_PREFIX

HASHING_WORKERS = 2


class Mounts:
    """Routes requests to services by prefix; counts and logs them."""

    def __init__(self, env: RealEnv, apps: list[App], metrics: Metrics, access: AccessLog) -> None:
        self._env = env
        self._apps = apps
        self._metrics = metrics
        self._access = access

    async def handle(self, request: Request) -> Response:
        """Answer a request."""
        loop = asyncio.get_running_loop()
        start, wall_us = loop.time(), self._env.wall_us()
        app = self._find(request.path)
        response = self._index(request) if app is None else await app.handle(request)
        seconds = loop.time() - start
        name = "api" if app is None else app.prefix[1:]
        self._metrics.request(name, request.method, response.status, seconds)
        self._access.add(
            (
                str(wall_us),
                str(request.context.get("id", "")),
                request.method,
                request.path,
                response.status,
                int(seconds * 1e6),
                request.peer,
            )
        )
        return response

    def _find(self, path: str) -> App | None:
        for app in self._apps:
            if path == app.prefix or path.startswith(app.prefix + "/"):
                return app
        return None

    def _index(self, request: Request) -> Response:
        if request.path != "/":
            return refusal(Fault(404, "There is no service at this path."))
        body = {"services": [app.base(request) for app in self._apps]}
        return Response(200, [JSON], msgspec.json.encode(body))


def plan_of(config: Config, secrets: Secrets) -> Plan:
    """What a new cloud begins with."""
    project_name, _, admin_name = secrets.user.partition(":")
    host = host_of(config)
    return Plan(
        admin_name=admin_name,
        admin_password=secrets.key,
        admin_project_name=project_name,
        admin_project_id=secrets.account.removeprefix("AUTH_"),
        access_key=secrets.access_key,
        secret_key=secrets.secret_key,
        demo_password=secrets.demo_key or secrets.key,
        region=config.region,
        identity_url=f"http://{host}:{config.api_port}{PREFIX}",
        object_url=f"http://{host}:{config.object_port}/v1/AUTH_$(project_id)s",
        image_url=f"http://{host}:{config.api_port}{IMAGE_PREFIX}",
        volume_url=f"http://{host}:{config.api_port}{VOLUME_PREFIX}/v3",
        network_url=f"http://{host}:{config.api_port}{NETWORK_PREFIX}",
        compute_url=f"http://{host}:{config.api_port}{COMPUTE_PREFIX}/v2.1",
        placement_url=f"http://{host}:{config.api_port}{PLACEMENT_PREFIX}",
    )


async def serve(data: Path) -> None:
    """Run until told to stop."""
    installation = Installation(data)
    config, secrets = installation.config(), installation.secrets()
    env = RealEnv(HASHING_WORKERS)
    database = Database(config.database or f"sqlite+aiosqlite:///{installation.data}/cloud.db")
    keys.create(installation.keys, env)
    keyring = Keyring(installation.keys)
    keyring.load()
    authority = await open_authority(
        env,
        database,
        keyring,
        policy_file=installation.policy / "identity.yaml",
        federation_file=installation.data / "federation.yaml",
    )
    await bootstrap(authority, plan_of(config, secrets))
    followers = Followers(authority, secrets.cluster_key, LookUps(authority).table())
    await followers.listen(installation.api_socket)
    app = make_app(authority, f"http://{host_of(config)}:{config.api_port}")
    storage = Storage(installation, env)
    image_service = await images.open_images(authority, storage.volumes, installation, config)
    block_service = await blocks.open_blocks(authority, storage, installation, config)
    compute_service = await servers.open_servers(authority, installation, config)
    network_service = await networks.open_networks(authority, installation, config)
    apps = [
        app,
        image_service.app,
        block_service.app,
        network_service.app,
        compute_service.app,
        compute_service.placement,
    ]
    metrics, access = Metrics(), AccessLog()
    server = HttpServer(Mounts(env, apps, metrics, access).handle)
    port = await server.listen(
        config.listen, config.api_port, listener=process.inherited_listener()
    )
    metrics_port = await process.serve_metrics(metrics)
    process.report_ready({"http": port, "metrics": metrics_port})
    tasks = [
        asyncio.create_task(keys.follow(keyring)),
        asyncio.create_task(housekeeping.run_for_ever(authority)),
        asyncio.create_task(image_service.runner.run_for_ever()),
        asyncio.create_task(block_service.worker.run_for_ever()),
        asyncio.create_task(compute_service.worker.run_for_ever()),
        asyncio.create_task(network_service.notices.run_for_ever()),
    ]
    await process.until_told(asyncio.Event())
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await server.stop()
    block_service.close()
    storage.close()
    followers.close()
    access.flush()
    await database.close()


def main() -> None:
    """Parse arguments and serve."""
    parser = argparse.ArgumentParser(prog="apid")
    parser.add_argument("--data", type=Path, required=True)
    arguments = parser.parse_args()
    process.run(lambda: serve(arguments.data))


if __name__ == "__main__":
    main()
