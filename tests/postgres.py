"""A PostgreSQL server of Debian's package for one test session, in a directory that goes with it."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests import installing

ROLE = "ringstack"


def programs() -> Path:
    """Where `initdb` and `pg_ctl` are; the package is installed when they are missing."""

    def found() -> list[Path]:
        return sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))

    installing.debian(lambda: set() if found() else {"postgresql"})
    return found()[-1].parent


class PostgresServer:
    """Listens on a socket in its own directory only. Nothing is synced: it lives as long as the tests."""

    def __init__(self) -> None:
        self._bin = programs()
        self.directory = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        self._as_root = os.geteuid() == 0
        if self._as_root:
            account = pwd.getpwnam("postgres")
            os.chown(self.directory, account.pw_uid, account.pw_gid)
        data = str(self.directory / "data")
        self._run("initdb", "-D", data, "-A", "trust", "--no-sync", "-U", ROLE)
        options = f"-k {self.directory} -h '' -F -c max_connections=200"
        log = str(self.directory / "log")
        self._run("pg_ctl", "-D", data, "-w", "-l", log, "-o", options, "start")
        self._numbers = itertools.count()

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._bin / program), *arguments]
        if self._as_root:
            command = ["runuser", "-u", "postgres", "--", *command]
        subprocess.run(command, check=True, capture_output=True, cwd="/")

    def new_database(self) -> str:
        """SQLAlchemy address of an empty database."""
        name = f"test{next(self._numbers)}"
        self._run("createdb", "-h", str(self.directory), "-U", ROLE, name)
        return f"postgresql+asyncpg://{ROLE}@/{name}?host={self.directory}"

    def stop(self) -> None:
        """End it and remove its directory."""
        self._run("pg_ctl", "-D", str(self.directory / "data"), "-m", "immediate", "stop")
        shutil.rmtree(self.directory, ignore_errors=True)
