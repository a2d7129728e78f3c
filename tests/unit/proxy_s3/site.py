"""An S3 front over HTTP on a random loopback port, with the model store behind it."""

from __future__ import annotations

import asyncio
import http.client
import threading
from typing import Any, NamedTuple

import boto3
from botocore.config import Config

from core.http import HttpServer
from core.real import RealEnv
from proxy.s3.front import S3Front
from proxy.s3.xml import Node
from proxy.s3.xml import parse as parse_xml
from ring.policy import Policy
from tests.model.memory_store import MemoryStore
from tests.static_gate import RootCredentials, StaticGate
from tests.unit.proxy_s3.signer import ACCESS_KEY, SECRET_KEY, SHA256, Signer, Wire

POLICIES = (Policy(0, "default", "replicated", replicas=3, is_default=True),)
CREDENTIALS = RootCredentials(
    access_key=ACCESS_KEY,
    secret_key=SECRET_KEY,
    user="admin",
    key="correct horse",
    account="AUTH_admin",
    token_key=b"k" * 32,
)


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    def xml(self, root: str) -> Node:
        return parse_xml(self.body, root)

    @property
    def code(self) -> str:
        """Code of an error document, or empty."""
        if not self.body.startswith(b"<?xml") or b"<Error>" not in self.body:
            return ""
        return self.xml("Error").value("Code") or ""

    def field(self, name: str) -> str | None:
        return self.xml("Error").value(name)


class Site:
    """A running front. `store` is the model."""

    def __init__(self, store=None, **options) -> None:
        self.env = RealEnv()
        self.store = store or MemoryStore(self.env.wall_us, POLICIES)
        self.front = S3Front(self.store, self.env, StaticGate(self.env, CREDENTIALS), **options)
        self.loop = asyncio.new_event_loop()
        self.server = HttpServer(self.front.handle)
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.port = self.run(self.server.listen("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self.port}"
        self.signer = Signer(self.host)
        self._clients: list[Any] = []
        self._connection: http.client.HTTPConnection | None = None

    def run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def stop(self) -> None:
        for client in self._clients:
            client.close()
        if self._connection is not None:
            self._connection.close()
        self.run(self.server.stop(0.2))
        self.run(self.loop.shutdown_asyncgens())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        self.loop.close()

    def client(self, **config):
        """A boto3 client, closed with the site."""
        client = boto3.client(
            "s3",
            endpoint_url=f"http://{self.host}",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name="us-east-1",
            config=Config(
                retries={"total_max_attempts": 1, "mode": "standard"},
                s3={"addressing_style": "path"},
                **config,
            ),
        )
        self._clients.append(client)
        return client

    def send(self, wire: Wire) -> Answer:
        """Send a request as it is, on a kept connection."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection = self._connection
        connection.putrequest(
            wire.method, wire.target, skip_host="host" in wire.headers, skip_accept_encoding=True
        )
        for name, value in wire.headers.items():
            connection.putheader(name, value.encode() if isinstance(value, str) else value)
        try:
            connection.endheaders(wire.body or None)
            response = connection.getresponse()
            answer = Answer(
                response.status,
                {name.lower(): value for name, value in response.getheaders()},
                response.read(),
            )
        except BaseException:
            connection.close()
            self._connection = None
            raise
        return answer

    def call(
        self, method, path, query=(), headers=None, body=b"", *, mode=SHA256, signer=None
    ) -> Answer:
        """Sign and send."""
        pairs = [(pair, "") if isinstance(pair, str) else pair for pair in query]
        wire = (signer or self.signer).sign(method, path, pairs, headers, body, mode=mode)
        return self.send(wire)
