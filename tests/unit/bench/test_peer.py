from __future__ import annotations

import asyncio
from pathlib import Path

from bench import peer_memcache
from bench.peer_memcache import Memcache
from bench.peer_swift import FILTERS, PROXY_PIPELINE, WORKERS, SwiftPeer, common_configuration


class Pipe(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data) -> None:
        self.written += bytes(data)


def talk(*pieces: bytes) -> bytes:
    pipe, server = Pipe(), Memcache()
    peer_memcache.VALUES.clear()
    server.connection_made(pipe)
    for piece in pieces:
        server.data_received(piece)
    return pipe.written


def test_the_stand_in_speaks_enough_of_memcached():
    """Values with line breaks in them, in any pieces."""
    wire = b"set k 2 0 4\r\na\r\nb\r\nget k x\r\nadd k 0 0 1\r\nz\r\nincr n 1\r\n"
    wire += b"set n 0 0 1\r\n5\r\nincr n 3\r\ndecr n 10\r\ndelete k\r\ndelete k\r\nget k\r\n"
    expected = (
        b"STORED\r\nVALUE k 2 4\r\na\r\nb\r\nEND\r\nNOT_STORED\r\nNOT_FOUND\r\n"
        b"STORED\r\n8\r\n0\r\nDELETED\r\nNOT_FOUND\r\nEND\r\n"
    )
    assert talk(wire) == expected
    assert talk(*(wire[at : at + 1] for at in range(len(wire)))) == expected
    assert talk(b"set k 0 0 1 noreply\r\nv\r\nnonsense\r\n") == b"ERROR\r\n"


def test_every_filter_of_the_pipeline_is_configured():
    """A missing section would stop the peer's proxy at its start."""
    known = {*FILTERS, "cache", "tempauth", "proxy-server"}
    assert set(PROXY_PIPELINE.split()) == known


def test_the_peer_stays_in_its_directory(tmp_path):
    """Every path in its configuration is below it."""
    peer = SwiftPeer(Path("/python"), tmp_path / "swift")
    assert peer.pids == []
    for kind in WORKERS:
        text = common_configuration(kind, 1, tmp_path)
        paths = [word for word in text.split() if word.startswith("/")]
        assert paths
        assert all(word.startswith(str(tmp_path)) for word in paths)
