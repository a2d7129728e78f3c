"""Mutual TLS between nodes: which certificates this node shows, and which it believes.

TLS 1.3 only. A peer must show a certificate of this installation's own authority whose name is on the
list of nodes; a node that was removed is refused from the moment the list says so, on links that are
open too. The list is read again when its file changes. Signatures of lists are checked by noded before
it stores them, so that no other process needs the libraries for that.
"""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

from core.errors import Corrupt
from core.roster import Roster, decode_signed

log = logging.getLogger("ringstack.trust")

AUTHORITY = "authority.crt"
AUTHORITY_KEY = "authority.key"  # on the keeper only
CERTIFICATE = "node.crt"
KEY = "node.key"
ROSTER = "roster.json"


class Trust:
    """What a node's `identity` directory says."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._stamp: tuple[int, int] | None = None
        self._roster: Roster | None = None
        self._admitted: frozenset[str] = frozenset()
        self._client: ssl.SSLContext | None = None

    @property
    def exists(self) -> bool:
        """This node has a certificate."""
        return (self.directory / CERTIFICATE).exists()

    def roster(self) -> Roster:
        """The newest list of nodes. Raises Corrupt when it is missing or damaged."""
        self.refresh()
        if self._roster is None:
            raise Corrupt("NoRoster", f"{self.directory / ROSTER} is missing or damaged")
        return self._roster

    def refresh(self) -> bool:
        """Read the list again if it has changed; True when it had. A damaged one changes nothing."""
        path = self.directory / ROSTER
        try:
            status = path.stat()
            stamp = (status.st_mtime_ns, status.st_ino)
            if stamp == self._stamp:
                return False
            self._stamp = stamp
            roster = decode_signed(path.read_bytes()).roster
        except (OSError, Corrupt) as error:
            log.error("the list of nodes cannot be read: %s", error)
            return False
        self._roster = roster
        self._admitted = frozenset(one.name for one in roster.members) - frozenset(roster.removed)
        return True

    def admits(self, name: str | None) -> bool:
        """A peer of that name may speak to us now."""
        self.refresh()
        return name in self._admitted

    def server_context(self, *, guests: bool = False) -> ssl.SSLContext:
        """For listening. With `guests`, peers without a certificate get as far as the handler."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._load(context)
        context.verify_mode = ssl.CERT_OPTIONAL if guests else ssl.CERT_REQUIRED
        context.num_tickets = 0
        return context

    def client_context(self) -> ssl.SSLContext:
        """For connecting."""
        if self._client is None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False  # names are those of nodes, and checked against the list
            self._load(context)
            context.verify_mode = ssl.CERT_REQUIRED
            self._client = context
        return self._client

    def _load(self, context: ssl.SSLContext) -> None:
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(self.directory / CERTIFICATE, self.directory / KEY)
        context.load_verify_locations(self.directory / AUTHORITY)


def peer_name(tls: ssl.SSLObject | ssl.SSLSocket | None) -> str | None:
    """The node's name in the certificate that the other side has shown; None without one."""
    certificate = None if tls is None else tls.getpeercert()
    if not certificate:
        return None
    for part in certificate.get("subject", ()):
        for field in part:
            if field[0] == "commonName":
                return str(field[1])
    return None
