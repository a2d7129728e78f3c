"""The API process is killed while images come and go: nothing stays between two states, and what was active is whole."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.running_cloud import RunningCloud

WAIT_S = 60.0
MIB = 1 << 20
FORMATS = {"disk_format": "raw", "container_format": "bare"}


class Api:
    """The Image API as the administrator, over plain HTTP."""

    def __init__(self, cloud: RunningCloud) -> None:
        self.cloud = cloud
        self._place = urlsplit(cloud.env["OS_AUTH_URL"]).netloc
        self.token = self._login()

    def _login(self) -> str:
        env, domain = self.cloud.env, {"id": "default"}
        user = {"name": env["OS_USERNAME"], "domain": domain, "password": env["OS_PASSWORD"]}
        scope = {"project": {"name": env["OS_PROJECT_NAME"], "domain": domain}}
        identity = {"methods": ["password"], "password": {"user": user}}
        body = {"auth": {"identity": identity, "scope": scope}}
        connection = http.client.HTTPConnection(self._place, timeout=30)
        connection.request("POST", "/identity/v3/auth/tokens", json.dumps(body))
        return str(connection.getresponse().getheader("X-Subject-Token"))

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._place, timeout=30)

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        """Status and body; (0, b"") when nobody answers."""
        connection = self.connection()
        headers = {"X-Auth-Token": self.token, "Accept": "application/json"}
        data = body if isinstance(body, bytes) else json.dumps(body) if body is not None else None
        kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection.request(method, "/image/v2" + path, data, {**headers, "Content-Type": kind})
            answer = connection.getresponse()
            return answer.status, answer.read()
        return 0, b""

    def new(self) -> str:
        status, raw = self.call("POST", "/images", FORMATS)
        assert status == 201, raw
        return str(json.loads(raw)["id"])

    def status(self, image_id: str) -> str:
        """The image's state; `gone`, or nothing while nobody answers."""
        status, raw = self.call("GET", f"/images/{image_id}")
        if status == 200:
            return str(json.loads(raw)["status"])
        return "gone" if status == 404 else ""

    def kill(self) -> None:
        os.kill(self.cloud.pid("apid"), signal.SIGKILL)


def until(what: Callable[[], Any]) -> Any:
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError("it took too long")


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    running = RunningCloud(tmp_path_factory.mktemp("image-kill") / "data")
    running.up()
    yield Api(running)
    running.down()


@pytest.mark.slow
def test_an_upload_dies_with_the_process_and_can_be_repeated(api: Api) -> None:
    """Half the bytes are there when it is killed; the next process puts the image back."""
    image, data = api.new(), os.urandom(24 * MIB)
    connection = api.connection()
    connection.putrequest("PUT", f"/image/v2/images/{image}/file")
    for name, value in (
        ("X-Auth-Token", api.token),
        ("Content-Type", "application/octet-stream"),
        ("Content-Length", str(len(data))),
    ):
        connection.putheader(name, value)
    connection.endheaders(data[: 12 * MIB])
    until(lambda: api.status(image) == "saving")
    time.sleep(0.5)
    api.kill()
    connection.close()
    until(lambda: api.status(image) == "queued")
    assert until(lambda: api.call("PUT", f"/images/{image}/file", data)[0]) == 204
    status, raw = api.call("GET", f"/images/{image}/file")
    assert (status, hashlib.sha256(raw).digest()) == (200, hashlib.sha256(data).digest())


@pytest.mark.slow
@pytest.mark.parametrize("delay_s", [0.0, 0.05, 0.2])
def test_an_import_is_done_or_can_be_repeated(api: Api, delay_s: float) -> None:
    """Killed at several moments after it was asked for: active in the end, with all bytes."""
    image, data = api.new(), os.urandom(8 * MIB)
    assert api.call("PUT", f"/images/{image}/stage", data)[0] == 204
    body = {"method": {"name": "glance-direct"}}
    assert api.call("POST", f"/images/{image}/import", body)[0] == 202
    time.sleep(delay_s)
    api.kill()
    state = until(lambda: (now := api.status(image)) in {"active", "uploading"} and now)
    while state != "active":
        status, raw = api.call("POST", f"/images/{image}/import", body)
        assert status in {202, 409, 0}, raw
        time.sleep(0.3)
        state = until(lambda: (now := api.status(image)) in {"active", "uploading"} and now)
    assert api.call("GET", f"/images/{image}/file")[1] == data


@pytest.mark.slow
def test_deletions_are_finished_and_what_is_active_stays(api: Api) -> None:
    """Killed right after the answer: deleted images stay away, the others are whole."""
    data = os.urandom(5 * MIB)
    made = [api.new() for _ in range(4)]
    for image in made:
        assert api.call("PUT", f"/images/{image}/file", data)[0] == 204
    for image in made[:2]:
        assert api.call("DELETE", f"/images/{image}")[0] == 204
    api.kill()
    for image in made[:2]:
        assert until(lambda image=image: api.status(image)) == "gone"
    for image in made[2:]:
        assert until(lambda image=image: api.status(image)) == "active"
        assert api.call("GET", f"/images/{image}/file")[1] == data
