"""A libvirtd of this cloud's own: its configuration, its state and its machines below the data directory.

It runs in the cloud's network namespace, where the taps are, and in a mount namespace in which libvirt's usual directories are
ours, so that a libvirtd of the machine's owner, or of another cloud, never meets it. Machines outlive it, and it outlives
the compute agent: both find each other again after a restart. It listens on a unix socket that only its owner can open.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from pathlib import Path

from core.errors import Unavailable
from core.real import make_directory, write_durably

PROGRAM = "libvirtd"
START_S = 20.0
LOOK_S = 0.05
STOP_S = 10.0
PLACES = ("run", "lib", "log", "etc")  # of ours, in the place of libvirt's own
# What libvirt found out about this QEMU costs seconds and is the same for every cloud of the machine.
CACHE = Path("/var/cache/ringstack/libvirt")
# $1: our directory, $2: the cache. Only paths go in, as arguments.
# A file system of the machine that is mounted now would stay busy for as long as this namespace has it: those go first, but for
# the one that we are on.
SCRIPT = """
set -eu
while read -r source place kind rest; do
  case "$place" in /|/usr|/var|/boot|/etc|/home|/proc*|/sys*|/dev*) continue;; esac
  case "$1/" in "$place"/*) continue;; esac
  case "$source:$kind" in /dev/*|*:fuse*) umount -l "$place" 2>/dev/null || true;; esac
done </proc/self/mounts
for name in run lib log cache etc; do
  case $name in run) place=/run/libvirt;; etc) place=/etc/libvirt;; *) place=/var/$name/libvirt;; esac
  mkdir -p "$place"
  case $name in cache) mount --bind "$2" "$place";; *) mount --bind "$1/$name" "$place";; esac
done
exec libvirtd -f /etc/libvirt/libvirtd.conf -p "$1/libvirtd.pid"
"""
QEMU_CONF = """\
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
seccomp_sandbox = 1
"""


class Libvirtd:
    """The daemon in a directory."""

    def __init__(self, directory: Path, namespace: str) -> None:
        self._directory = directory
        self._namespace = namespace
        self._pid_file = directory / "libvirtd.pid"
        self.socket = directory / "sock" / "libvirt-sock"

    @property
    def uri(self) -> str:
        """Where its users find it."""
        return f"qemu:///system?socket={self.socket}"

    def pid(self) -> int:
        """Its process, or 0."""
        try:
            pid = int(self._pid_file.read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return 0
        return pid if str(self._pid_file).encode() in command else 0

    def _configure(self, host_uuid: str) -> None:
        for name in PLACES:
            make_directory(self._directory / name)
        make_directory(CACHE)
        make_directory(self._directory / "sock")
        self._directory.chmod(0o700)
        make_directory(self._directory / "etc" / "qemu")
        write_durably(self._directory / "etc" / "qemu.conf", QEMU_CONF.encode())
        text = (
            f'unix_sock_dir = "{self._directory}/sock"\n'
            'auth_unix_ro = "none"\nauth_unix_rw = "none"\n'
            'unix_sock_rw_perms = "0700"\nunix_sock_ro_perms = "0700"\n'
            f'host_uuid = "{host_uuid}"\nlog_outputs = "3:file:{self._directory}/libvirtd.log"\n'
        )
        write_durably(self._directory / "etc" / "libvirtd.conf", text.encode())

    async def start(self, host_uuid: str) -> None:
        """Start it unless it runs. Raises Unavailable when it does not come up, or a program is missing."""
        missing = [name for name in (PROGRAM, "nsenter", "unshare") if shutil.which(name) is None]
        if missing:
            raise Unavailable("NoLibvirt", f"guests need {', '.join(missing)}")
        if self.pid():
            return
        self._configure(host_uuid)
        self.socket.unlink(missing_ok=True)
        enter = ["nsenter", f"--net=/run/netns/{self._namespace}"] if self._namespace else []
        with (self._directory / "libvirtd.out").open("ab") as sink:
            await asyncio.create_subprocess_exec(
                *enter,
                *("unshare", "--mount", "--propagation", "private"),
                *("sh", "-c", SCRIPT, "libvirtd", str(self._directory), str(CACHE)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                cwd="/",
                start_new_session=True,
            )
        for _ in range(int(START_S / LOOK_S)):
            if self.socket.exists() and self.pid():
                return
            await asyncio.sleep(LOOK_S)
        raise Unavailable(
            "NoLibvirt", f"libvirtd does not start: see {self._directory}/libvirtd.out"
        )

    async def stop(self) -> None:
        """End it; machines run on unless they were stopped before."""
        pid = self.pid()
        if not pid:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        for _ in range(int(STOP_S / LOOK_S)):
            if not self.pid():
                return
            await asyncio.sleep(LOOK_S)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
