"""The NBD server judged by other people's tools, over a unix socket and over TLS with keys and certificates."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop

from blockd.export import Export
from blockd.nbd.server import NbdServer, tls_of
from core.trust import AUTHORITY, CERTIFICATE, KEY, Trust
from tests import nbd_tools
from tests.nbd_tools import nbdsh, run
from tests.unit.noded.cluster import add_node, make_keeper
from volume.memory import MemoryVolumes

pytestmark = pytest.mark.slow
SIZE = 16 << 20
SECRET = bytes(range(32))
Work = Callable[[str, int], Awaitable[None]]


@pytest.fixture(scope="module", autouse=True)
def tools() -> None:
    nbd_tools.install("nbdinfo", "nbdsh", "qemu-img", "fio", "psktool")


def serve(root: Path, work: Work, trust: Trust | None = None) -> None:
    """Call `work(uri of the unix socket, TLS port)` beside a server of the exports `disk` and `other`."""

    async def body() -> None:
        volumes = MemoryVolumes(lambda: 0)
        server = NbdServer(root / "nbd")
        for name in ("disk", "other"):
            await volumes.create(name, SIZE)
            disk = await volumes.attach(name, "test")
            await server.add(Export(name, name, disk, secret=SECRET if name == "disk" else b""))
        port = await server.listen("127.0.0.1", 0, tls_of(trust))
        try:
            await work(f"nbd+unix:///disk?socket={server.socket('disk')}", port)
        finally:
            await server.close()

    uvloop.run(body())


def in_thread(root: Path, work: Callable[[str, int], None], trust: Trust | None = None) -> None:
    serve(root, lambda uri, port: asyncio.to_thread(work, uri, port), trust)


def test_nbdinfo_and_nbdcopy_over_four_connections(tmp_path: Path) -> None:
    """What goes in comes out, and holes stay holes."""

    def work(uri: str, port: int) -> None:
        del port
        assert run("nbdinfo", "--size", uri).strip() == str(SIZE)
        assert "multi-conn" in (text := run("nbdinfo", uri)) or "can_multi_conn: true" in text
        source, copy = tmp_path / "a", tmp_path / "b"
        source.write_bytes(os.urandom(SIZE // 2) + bytes(SIZE // 4) + os.urandom(SIZE // 4))
        run("nbdcopy", "-C", "4", "--requests=64", source, uri)
        run("nbdcopy", "-C", "4", uri, copy)
        assert source.read_bytes() == copy.read_bytes()
        rows = [line.split() for line in run("nbdinfo", "--map", uri).splitlines()]
        assert [(int(row[1]), row[3]) for row in rows] == [
            (SIZE // 2, "data"),
            (SIZE // 4, "hole,zero"),
            (SIZE // 4, "data"),
        ]

    in_thread(tmp_path, work)


def test_qemu_reads_writes_maps_and_compares(tmp_path: Path) -> None:
    """Unaligned, zeroed, discarded and forced writes of qemu-io; a qcow2 image converted onto the export."""

    def work(uri: str, port: int) -> None:
        del port
        commands = [
            "write -P 7 512 1k",
            "read -P 7 512 1k",
            "write -z 1M 64k",
            "read -P 0 1M 64k",
            "discard 2M 64k",
            "write -f -P 9 3M 4k",
            "flush",
            "aio_write -P 3 4M 2M",
            "aio_flush",
            "read -P 3 4M 2M",
        ]
        words = [word for command in commands for word in ("-c", command)]
        output = run("qemu-io", "-f", "raw", *words, uri).lower()
        assert not {"fail", "error", "mismatch"} & set(output.split())
        raw, image = tmp_path / "raw", tmp_path / "image.qcow2"
        raw.write_bytes(os.urandom(SIZE // 4) + bytes(SIZE // 2) + os.urandom(SIZE // 4))
        run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, image)
        run("qemu-img", "convert", "-n", "-f", "qcow2", "-O", "raw", image, uri)
        assert "identical" in run("qemu-img", "compare", "-f", "raw", "-F", "raw", raw, uri)
        assert '"zero": true' in run("qemu-img", "map", "--output=json", "-f", "raw", uri)

    in_thread(tmp_path, work)


def test_nbdsh_walks_along_the_edges(tmp_path: Path) -> None:
    """Requests that its strict mode would not send are refused, and the session goes on."""

    def work(uri: str, port: int) -> None:
        del port
        script = f"""
def bad(f, *a):
    try: f(*a)
    except nbd.Error as e: return e.errno
    raise SystemExit('no error from %r %r' % (f, a))
h.set_strict_mode(0); s = h.get_size(); assert s == {SIZE}
print(bad(h.pread, 4096, s - 512), bad(h.pwrite, b'x' * 1024, s), bad(h.pread, 512, 1 << 62), bad(h.zero, 0, 0), bad(h.trim, 512, s))
h.pwrite(b'a' * 512, s - 512); assert h.pread(512, s - 512) == b'a' * 512
h.zero(4096, 0, nbd.CMD_FLAG_FAST_ZERO); assert h.pread(4096, 0) == bytes(4096)
h.trim(4096, 0, nbd.CMD_FLAG_FUA); h.cache(1 << 20, 0); h.flush()
"""
        assert nbdsh(uri, script).split() == ["EINVAL", "ENOSPC", "EINVAL", "EINVAL", "ENOSPC"]

    in_thread(tmp_path, work)


def test_fio_verifies_what_it_wrote(tmp_path: Path) -> None:
    """Random writes, sixteen under way, through its NBD engine."""

    def work(uri: str, port: int) -> None:
        del port
        options = "--rw=randwrite --bs=4k --iodepth=16 --io_size=8m --verify=crc32c --do_verify=1"
        run(
            "fio", "--name=v", "--ioengine=nbd", f"--uri={uri}", f"--size={SIZE}", *options.split(),
            f"--output={tmp_path}/fio.log", f"--aux-path={tmp_path}",
        )  # fmt: skip

    in_thread(tmp_path, work)


def test_tls_with_the_key_of_an_export(tmp_path: Path) -> None:
    """The right key opens that export and no other; a wrong one, an unknown name and no TLS open nothing."""

    def work(uri: str, port: int) -> None:
        del uri
        keys, wrong = tmp_path / "keys.psk", tmp_path / "wrong.psk"
        keys.write_text(f"disk:{SECRET.hex()}\nother:{'00' * 32}\n")
        wrong.write_text(f"disk:{'11' * 32}\n")

        def at(name: str, export: str, file: Path = keys) -> list[str]:
            return [
                "nbdinfo",
                "--size",
                f"nbds://{name}@127.0.0.1:{port}/{export}?tls-psk-file={file}",
            ]

        assert run(*at("disk", "disk")).strip() == str(SIZE)
        for refused in (
            at("disk", "other"),
            at("other", "other"),
            at("disk", "disk", wrong),
            ["nbdinfo", "--size", f"nbd://127.0.0.1:{port}/disk"],
        ):
            with pytest.raises(AssertionError):
                run(*refused)
        listed = run("nbdinfo", "--list", at("disk", "")[2])
        assert 'export="disk"' in listed
        assert "other" not in listed
        source = tmp_path / "source"
        source.write_bytes(os.urandom(SIZE))
        run("nbdcopy", "-C", "2", source, at("disk", "disk")[2])
        run("nbdcopy", at("disk", "disk")[2], tmp_path / "copy")
        assert source.read_bytes() == (tmp_path / "copy").read_bytes()

    in_thread(tmp_path, work)


def test_tls_with_the_certificate_of_a_node(tmp_path: Path) -> None:
    """A node of the cluster may use every export, one of another cloud none; keys go on working beside."""
    alpha = make_keeper(tmp_path / "alpha")
    beta = add_node(alpha, tmp_path / "beta", "beta")
    stranger = make_keeper(tmp_path / "stranger")

    def certificates(directory: Path, target: Path) -> Path:
        target.mkdir()
        shutil.copy(directory / CERTIFICATE, target / "client-cert.pem")
        shutil.copy(directory / KEY, target / "client-key.pem")
        shutil.copy(alpha.identity / AUTHORITY, target / "ca-cert.pem")
        return target

    def work(uri: str, port: int) -> None:
        del uri

        def ask(directory: Path) -> str:
            script = f"""
import nbd
h = nbd.NBD(); h.set_tls(nbd.TLS_REQUIRE); h.set_tls_certificates({str(directory)!r})
h.set_tls_verify_peer(False); h.set_export_name('other'); h.connect_tcp('127.0.0.1', '{port}')
h.pwrite(b'x' * 512, 0); print(h.pread(512, 0) == b'x' * 512)
"""
            return run("/usr/bin/python3", "-c", script).strip()

        assert ask(certificates(beta.identity, tmp_path / "good")) == "True"
        with pytest.raises(AssertionError):
            ask(certificates(stranger.identity, tmp_path / "bad"))
        keys = tmp_path / "keys.psk"
        keys.write_text(f"disk:{SECRET.hex()}\n")
        run("nbdinfo", f"nbds://disk@127.0.0.1:{port}/disk?tls-psk-file={keys}")

    in_thread(tmp_path, work, Trust(alpha.identity))
