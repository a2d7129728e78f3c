"""A small HTTP client that shows statuses, headers and bodies exactly as they came."""

from __future__ import annotations

import http.client
import json
from typing import Any, NamedTuple
from urllib.parse import quote


class Answer(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str, default: str | None = None) -> str | None:
        for known, value in self.headers:
            if known.lower() == name.lower():
                return value
        return default

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


class Client:
    """One connection; paths below an account are percent-encoded by `at`."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        self.port = port
        self.token: str | None = None
        self.account = ""

    def request(self, method, path, headers=None, body=None, **options) -> Answer:
        self._connection.request(method, path, body=body, headers=headers or {}, **options)
        response = self._connection.getresponse()
        body = response.read()
        headers = [(k, v.encode("latin-1").decode()) for k, v in response.getheaders()]
        return Answer(response.status, headers, body)

    def at(self, *names: str) -> str:
        return "/".join(["/v1", quote(self.account), *(quote(name) for name in names)])

    def __call__(self, method, *names, query="", headers=None, body=None, token=True) -> Answer:
        given = {k: v if isinstance(v, bytes) else v.encode() for k, v in (headers or {}).items()}
        if token and self.token and "X-Auth-Token" not in given:
            given["X-Auth-Token"] = self.token.encode()
        path = self.at(*names) + (f"?{query}" if query else "")
        return self.request(method, path, given, body)

    def close(self) -> None:
        self._connection.close()
