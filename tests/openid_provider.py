"""A real OpenID provider (Canaille) for a test: its own environment, its own database, one user and one client."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import requests

from tests import installing

PACKAGE = "canaille[front,oidc,server,sqlite]==0.3.6"
ENVIRONMENT = Path("~/.cache/ringstack/test-canaille-0.3.6")
START_S = 60.0


def program() -> Path:
    """The `canaille` command, installed in an environment of its own when it is missing."""
    return installing.environment(ENVIRONMENT.expanduser(), PACKAGE) / "canaille"


class OpenIdProvider:
    """The provider at `issuer`; `alice` is in the group `staff`."""

    def __init__(self, directory: Path) -> None:
        self._command = program()
        self._directory = directory
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = int(probe.getsockname()[1])
        self.address = f"127.0.0.1:{port}"
        self.issuer = f"http://{self.address}"
        self.clients: dict[str, str] = {}
        self._tokens: dict[str, dict[str, str]] = {}
        self._configure("")
        self._configure(self._run("jwk", "create", "rsa"))
        self._run("install")
        user = self._make("user", "--user-name", "alice", "--password", "correct horse",
                          "--family-name", "Liddell", "--emails", "alice@corp.test")  # fmt: skip
        self._make("group", "--display-name", "staff", "--members", user)
        for name in ("ringstack", "another-site"):
            self._new_client(name)
        self._process = self._start()

    def _configure(self, key: str) -> None:
        keys = ""
        if key:
            fields = ", ".join(f"{n} = {json.dumps(v)}" for n, v in json.loads(key).items())
            keys = f"ACTIVE_JWKS = [{{{fields}}}]\n"
        (self._directory / "config.toml").write_text(
            'SECRET_KEY = "only for this test"\n'
            f'SERVER_NAME = "{self.address}"\nPREFERRED_URL_SCHEME = "http"\n'
            '[CANAILLE]\nDATABASE = "sql"\n'
            f'[CANAILLE_SQL]\nDATABASE_URI = "sqlite:///{self._directory}/canaille.db"\n'
            f"[CANAILLE_OIDC]\n{keys}"
        )

    @property
    def _environment(self) -> dict[str, str]:
        return {**os.environ, "CANAILLE_CONFIG": str(self._directory / "config.toml")}

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [str(self._command), *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=self._environment,
            cwd=self._directory,
        )
        assert done.returncode == 0, done.stderr[-1500:]
        return done.stdout

    def _make(self, kind: str, *arguments: str) -> str:
        return str(json.loads(self._run("create", kind, *arguments))["id"])

    def _new_client(self, name: str) -> None:
        """A client whose tokens are for itself."""
        secret = f"secret of {name}".replace(" ", "-")
        scopes = [part for s in ("openid", "profile", "email", "groups") for part in ("--scope", s)]
        made = self._make(
            "client",
            "--client-id", name, "--client-secret", secret, "--client-name", name,
            "--grant-types", "password", "--token-endpoint-auth-method", "client_secret_basic",
            "--redirect-uris", "http://127.0.0.1/none", "--response-types", "code", *scopes,
        )  # fmt: skip
        self._run("set", "client", made, "--audience", made)
        self.clients[name] = secret

    def _start(self) -> subprocess.Popen[bytes]:
        with (self._directory / "log").open("ab") as sink:
            process = subprocess.Popen(
                [str(self._command), "run", "--bind", self.address],
                stdout=sink,
                stderr=sink,
                env=self._environment,
                cwd=self._directory,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            try:
                url = f"{self.issuer}/.well-known/openid-configuration"
                if requests.get(url, timeout=5).status_code == 200:
                    return process
            except requests.RequestException:
                time.sleep(0.1)
        raise AssertionError((self._directory / "log").read_text()[-1500:])

    def tokens(self, client: str = "ringstack") -> dict[str, str]:
        """What alice gets from the token endpoint through a client; once, it makes one a second at most."""
        if client in self._tokens:
            return self._tokens[client]
        for _ in range(3):
            reply = requests.post(
                f"{self.issuer}/oauth/token",
                data={
                    "grant_type": "password",
                    "username": "alice",
                    "password": "correct horse",
                    "scope": "openid profile email groups",
                },
                auth=(client, self.clients[client]),
                timeout=30,
            )
            if reply.status_code == 200:
                break
            time.sleep(0.5)  # it cannot make two tokens of one second
        assert reply.status_code == 200, reply.text
        found: dict[str, str] = reply.json()
        self._tokens[client] = found
        return found

    def stop(self) -> None:
        """End it."""
        os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait(10)
