"""Consoles: a token opens one machine's screen, nothing leads out of the page's own files."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import websockets
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import connect

from computed.agent.console import Consoles, as_json, file_of
from core import keyring as keys
from core.authenticator import Authenticator
from core.errors import NotFound
from core.keyring import Keyring
from core.real import RealEnv
from core.revocation import RevocationList
from core.service_identity import ServiceIdentity


async def machine(path: Path) -> asyncio.Server:
    """A screen that greets and then repeats what it is told."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"RFB 003.008\n")
        while data := await reader.read(1000):
            writer.write(data)
        writer.close()

    return await asyncio.start_unix_server(talk, path)


async def server_of(token: str, kind: str) -> str:
    if (token, kind) != ("good", "vnc"):
        raise NotFound("NotFound", "there is no such token")
    return "server-1"


async def facts(server_id: str) -> tuple[str, bytes]:
    return as_json({"id": server_id})


def fetch(url: str, token: str = "") -> tuple[int, bytes, dict[str, str]]:
    request = urllib.request.Request(url, headers={"X-Auth-Token": token})
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status, reply.read(), dict(reply.headers)
    except urllib.error.HTTPError as error:
        return error.code, error.read(), dict(error.headers)


def test_consoles(tmp_path: Path) -> None:
    """A good token joins, a bad one does not; facts are for services; pages carry a policy."""

    async def body() -> None:
        env = RealEnv()
        keys.create(tmp_path / "keys", env)
        keyring = Keyring(tmp_path / "keys")
        keyring.load()
        screen = await machine(tmp_path / "server-1.vnc")
        consoles = Consoles(
            Authenticator(env, keyring, RevocationList()),
            server_of,
            lambda server_id, kind: str(tmp_path / f"{server_id}.{kind}"),
            {"diagnostics": facts},
        )
        port = await consoles.listen("127.0.0.1", 0)
        at = f"127.0.0.1:{port}"
        async with asyncio.timeout(30):
            protocols = [websockets.Subprotocol("binary")]
            async with connect(f"ws://{at}/vnc?token=good", subprotocols=protocols) as client:
                assert client.subprotocol == "binary"
                assert await client.recv() == b"RFB 003.008\n"
                await client.send(b"hello")
                assert await client.recv() == b"hello"
            for path in ("/vnc?token=bad", "/vnc", "/serial?token=good", "/vnc?token=" + "g" * 99):
                async with connect(f"ws://{at}{path}") as client:
                    with pytest.raises(websockets.ConnectionClosed):
                        await client.recv()
            status, page, headers = await asyncio.to_thread(
                fetch, f"http://{at}/vnc_auto.html?path=%2Fvnc%3Ftoken%3Dgood"
            )
            assert status == 200
            assert b"noVNC" in page
            assert "default-src 'none'" in headers["Content-Security-Policy"]
            assert headers["X-Content-Type-Options"] == "nosniff"
            token = ServiceIdentity(env, keyring).token()
            asked = f"http://{at}/diagnostics/server-1"
            assert (await asyncio.to_thread(fetch, asked, token))[:2] == (
                200,
                b'{"id": "server-1"}',
            )
            for bad in ("", "x", token[:-4] + "AAAA"):
                assert (await asyncio.to_thread(fetch, asked, bad))[0] == 401
        await consoles.close()
        screen.close()

    asyncio.run(body())


@given(
    st.lists(
        st.sampled_from(["..", ".", "", "core", "rfb.js", "%2e%2e", "/etc/passwd", "x.js", "\0.js"])
    )
)
def test_no_path_leads_out(parts: list[str]) -> None:
    """CVE-2021-3654 and its kin: files of the page, or nothing."""
    path = "/" + "/".join(parts)
    try:
        kind, _ = file_of(path)
    except (NotFound, ValueError):
        return
    assert kind == "text/javascript"
    assert ".." not in parts


def test_a_path_with_two_slashes_redirects_nowhere() -> None:
    """CVE-2021-3654: `//evil.example/%2e%2e`."""
    for path in ("//evil.example/%2e%2e", "//evil.example/..", "///evil.example/vnc.html/.."):
        with pytest.raises(NotFound):
            file_of(path)
