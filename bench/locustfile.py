"""A mixed load for locust: 70 % GET, 20 % PUT, 5 % LIST, 5 % DELETE, half through each API.

Both APIs work on the same names, which are drawn by Zipf's law. Every object's bytes follow from its
name, so each GET is compared byte for byte; a name that somebody has just deleted answers 404, which is
counted apart and is no failure. The environment says where: as `ringstack env` prints it, and
BENCH_CONTAINER. `ringstack bench mixed` does all that.
"""

# mypy: disable-error-code="misc,arg-type,no-any-unimported,untyped-decorator"
from __future__ import annotations

import hashlib
import os
import random
import time
from collections.abc import Callable, Mapping
from typing import Any

import requests
from locust import FastHttpUser, constant, task

from bench.key import KEY_COUNT, key_body, key_name
from bench.sign import EMPTY_SHA256, Signer, encode_query
from bench.zipf import Zipf

CONTAINER = os.environ["BENCH_CONTAINER"]
ENDPOINT = os.environ["AWS_ENDPOINT_URL"]
KEYS = Zipf(KEY_COUNT)
LIST_LIMIT = 100
GONE = 404


class Mixed(FastHttpUser):
    """The mix; each API says how a request is made."""

    abstract = True
    host = ENDPOINT
    wait_time = constant(0)
    api = ""

    def send(
        self, method: str, name: str, body: bytes = b"", query: Mapping[str, str] | None = None
    ) -> tuple[str, dict[str, str]]:
        """Path and headers of a request."""
        raise NotImplementedError

    def ask(
        self,
        method: str,
        name: str,
        *,
        judge: Callable[[Any], str],
        body: bytes = b"",
        query: Mapping[str, str] | None = None,
    ) -> None:
        """Send it and let `judge` say what is wrong with the answer."""
        path, headers = self.send(method, name, body, query)
        kind = "LIST" if query else method
        with self.client.request(
            method,
            path,
            data=body or None,
            headers=headers,
            name=f"{kind} {self.api}",
            catch_response=True,
        ) as answer:
            problem = judge(answer)
            if problem:
                answer.failure(problem)
            else:
                answer.success()

    @task(70)
    def get(self) -> None:
        """Read a popular object."""
        number = KEYS.rank(random.random())

        def judge(answer: Any) -> str:
            if answer.status_code == GONE:
                answer.request_meta["name"] = f"GET {self.api} (deleted)"
                return ""
            if answer.status_code != 200:
                return f"status {answer.status_code}"
            return "" if answer.content == key_body(number) else "wrong bytes"

        self.ask("GET", key_name(number), judge=judge)

    @task(20)
    def put(self) -> None:
        """Write one."""
        number = KEYS.rank(random.random())
        self.ask("PUT", key_name(number), body=key_body(number), judge=_stored)

    @task(5)
    def list(self) -> None:
        """A short listing from anywhere."""
        after = key_name(random.randrange(KEY_COUNT))
        self.ask("GET", "", query=self.listing(after), judge=_listed)

    @task(5)
    def delete(self) -> None:
        """Delete one; somebody else may have been quicker."""
        self.ask("DELETE", key_name(KEYS.rank(random.random())), judge=_deleted)

    def listing(self, after: str) -> Mapping[str, str]:
        """Query of a listing."""
        raise NotImplementedError


def _stored(answer: Any) -> str:
    return "" if answer.status_code in {200, 201} else f"status {answer.status_code}"


def _listed(answer: Any) -> str:
    return "" if answer.status_code == 200 else f"status {answer.status_code}"


def _deleted(answer: Any) -> str:
    return "" if answer.status_code in {204, GONE} else f"status {answer.status_code}"


class S3User(Mixed):
    """Signed S3 requests."""

    api = "s3"
    signer = Signer(
        ENDPOINT.partition("//")[2],
        os.environ["AWS_ACCESS_KEY_ID"],
        os.environ["AWS_SECRET_ACCESS_KEY"],
        region=os.environ["AWS_DEFAULT_REGION"],
    )

    def send(
        self, method: str, name: str, body: bytes = b"", query: Mapping[str, str] | None = None
    ) -> tuple[str, dict[str, str]]:
        """Signed by SHA-256 of the body."""
        path = f"/{CONTAINER}/{name}" if name else f"/{CONTAINER}"
        text = encode_query(query or {})
        fields = self.signer.fields(
            method,
            path,
            timestamp=time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()),
            payload_hash=hashlib.sha256(body).hexdigest() if body else EMPTY_SHA256,
            query=text,
        )
        return f"{path}?{text}" if text else path, fields

    def listing(self, after: str) -> Mapping[str, str]:
        """ListObjectsV2."""
        return {"list-type": "2", "start-after": after, "max-keys": str(LIST_LIMIT)}


class SwiftUser(Mixed):
    """Swift requests with a token."""

    api = "swift"

    def on_start(self) -> None:
        """Log in."""
        answer = requests.get(
            os.environ["ST_AUTH"],
            headers={"X-Auth-User": os.environ["ST_USER"], "X-Auth-Key": os.environ["ST_KEY"]},
            timeout=30,
        )
        answer.raise_for_status()
        self.fields = {"X-Auth-Token": answer.headers["X-Auth-Token"]}
        self.base = answer.headers["X-Storage-Url"].removeprefix(ENDPOINT)

    def send(
        self, method: str, name: str, body: bytes = b"", query: Mapping[str, str] | None = None
    ) -> tuple[str, dict[str, str]]:
        """With the token."""
        del method, body
        path = f"{self.base}/{CONTAINER}/{name}" if name else f"{self.base}/{CONTAINER}"
        return f"{path}?{encode_query(query)}" if query else path, self.fields

    def listing(self, after: str) -> Mapping[str, str]:
        """A JSON listing."""
        return {"format": "json", "marker": after, "limit": str(LIST_LIMIT)}
