"""A Swift front over HTTP on a random loopback port, with the model store behind it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from core.http import HttpServer
from core.real import RealEnv
from proxy.swift.front import SwiftFront
from ring.policy import Policy
from tests.model.memory_store import MemoryStore
from tests.static_gate import RootCredentials, StaticGate
from tests.unit.proxy_swift.wire import Client

POLICIES = (
    Policy(0, "gold", "replicated", replicas=3, is_default=True, aliases=("default",)),
    Policy(1, "silver", "erasure", data=2, parity=1, codec="zfec"),
)
CREDENTIALS = RootCredentials(
    access_key="A" * 20,
    secret_key="S" * 40,
    user="admin:admin",
    key="correct horse",
    account="AUTH_admin",
    token_key=b"k" * 32,
)


class Site:
    """A running front; `store` is the model, `run` executes a coroutine in its loop."""

    def __init__(self) -> None:
        self.env = RealEnv()
        self.store = MemoryStore(self.env.wall_us, POLICIES)
        self.front = SwiftFront(self.store, self.env, StaticGate(self.env, CREDENTIALS))
        self.credentials = CREDENTIALS
        self.loop = asyncio.new_event_loop()
        self.server = HttpServer(self.front.handle)
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.port = self.run(self.server.listen("127.0.0.1", 0))

    def run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def stop(self) -> None:
        self.run(self.server.stop(0.2))
        self.run(self.loop.shutdown_asyncgens())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        self.loop.close()
        self.env.close() if hasattr(self.env, "close") else None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    running = Site()
    yield running
    running.stop()


@pytest.fixture
def swift(site: Site) -> Iterator[Client]:
    """A logged-in client of an account that no other test uses."""
    client = Client(site.port)
    answer = client.request(
        "GET", "/auth/v1.0", {"X-Auth-User": "admin:admin", "X-Auth-Key": "correct horse"}
    )
    client.token = answer.header("x-auth-token")
    client.account = "AUTH_" + site.env.random_bytes(6).hex()
    yield client
    client.close()
