"""Backups in a bucket of another cloud's S3 (`blockd.port.Chunks`): containers are the first part of the keys."""

from __future__ import annotations

from lxml import etree

from blockd.neighbours import check
from blockd.s3_signature import Account, headers_for, path_of, query_of
from blockd.settings import BackupTarget
from core.api.client import Client, Reply
from core.env import Env
from core.errors import Unavailable

NAMES_MAX = 1000
PARSER_OPTIONS = {"resolve_entities": False, "no_network": True, "load_dtd": False}


class S3Chunks:
    """Objects by path-style requests; the bucket is made at the first need."""

    def __init__(self, env: Env, target: BackupTarget) -> None:
        self._env = env
        self._client = Client(target.endpoint.rstrip("/"))
        self._host = target.endpoint.rstrip("/").partition("://")[2]
        self._bucket = target.bucket
        self._account = Account(target.access_key, target.secret_key, target.region)

    async def _call(
        self, method: str, key: str, body: bytes = b"", query: dict[str, str] | None = None
    ) -> Reply:
        path, pairs = path_of(self._bucket, key), query_of(query or {})
        headers = headers_for(
            self._account,
            method,
            self._host,
            path,
            query=pairs,
            body=body,
            now_us=self._env.wall_us(),
        )
        address = f"{path}?{pairs}" if pairs else path
        return await self._client.call(method, address, body, headers=headers)

    async def put(self, container: str, name: str, data: bytes) -> None:
        """Store an object."""
        reply = await self._call("PUT", f"{container}/{name}", data)
        if reply.status == 404:
            check(await self._call("PUT", ""), "bucket of backups")
            reply = await self._call("PUT", f"{container}/{name}", data)
        check(reply, f"object {name}")

    async def get(self, container: str, name: str) -> bytes:
        """Contents of an object."""
        return check(await self._call("GET", f"{container}/{name}"), f"object {name}").body

    async def names(self, container: str, prefix: str) -> list[str]:
        """The first names that begin so."""
        query = {
            "list-type": "2",
            "max-keys": str(NAMES_MAX),
            "prefix": f"{container}/{prefix}",
        }
        reply = await self._call("GET", "", query=query)
        if reply.status == 404:
            return []
        body = check(reply, "bucket of backups").body
        try:
            tree = etree.fromstring(body, etree.XMLParser(**PARSER_OPTIONS))
        except etree.XMLSyntaxError:
            raise Unavailable("BadListing", "the S3 service's listing cannot be read") from None
        keys = [str(found.text) for found in tree.iter("{*}Key") if found.text]
        return [key.removeprefix(f"{container}/") for key in keys]

    async def delete(self, container: str, name: str) -> None:
        """Remove an object."""
        reply = await self._call("DELETE", f"{container}/{name}")
        if reply.status != 404:
            check(reply, f"object {name}")
