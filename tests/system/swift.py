"""A Swift client of a few lines, for tests that look at single answers."""

from __future__ import annotations

from typing import Any, Self

import requests
from requests.adapters import HTTPAdapter

from tests.running_cloud import RunningCloud


class Swift:
    """One account of a running cloud; every method returns the response, whatever its status."""

    def __init__(self, cloud: RunningCloud) -> None:
        env = cloud.env
        self.session = requests.Session()
        self.session.mount("http://", HTTPAdapter(max_retries=0))
        headers = {"X-Auth-User": env["ST_USER"], "X-Auth-Key": env["ST_KEY"]}
        answer = self.session.get(env["ST_AUTH"], headers=headers, timeout=20)
        assert answer.status_code == 200, answer.text
        self.url = answer.headers["X-Storage-Url"]
        self.token = answer.headers["X-Auth-Token"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.session.close()

    def call(self, method: str, path: str, data: bytes = b"", **headers: str) -> Any:
        sent = {"X-Auth-Token": self.token, **{k.replace("_", "-"): v for k, v in headers.items()}}
        return self.session.request(
            method, f"{self.url}/{path}", data=data, headers=sent, timeout=60
        )

    def put(self, path: str, data: bytes = b"", **headers: str) -> int:
        return int(self.call("PUT", path, data, **headers).status_code)

    def get(self, path: str) -> bytes:
        answer = self.call("GET", path)
        assert answer.status_code == 200, (path, answer.status_code, answer.text[:200])
        return bytes(answer.content)

    def delete(self, path: str) -> int:
        return int(self.call("DELETE", path).status_code)

    def names(self, container: str) -> list[str]:
        return self.get(container).decode().splitlines()
