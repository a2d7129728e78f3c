"""A keeper and machines that join it, as directories: no processes."""

from __future__ import annotations

from pathlib import Path

import msgspec

from cli.install import install
from cli.node import store_welcome
from core.installation import Config, Installation
from core.roster import Member
from noded import authority, keeper, token, wire

NOW_US = 1_000_000_000


def make_keeper(data: Path, listen: str = "127.0.0.1:7100") -> Installation:
    installation = Installation(data)
    install(
        installation,
        devices=("3",),
        listen="127.0.0.1",
        object_port=1,
        api_port=2,
        proxy_count=1,
        node="alpha",
        cluster_listen=listen,
    )
    return installation


def application(
    installation: Installation, name: str, text: str, listen: str = "127.0.0.1:7200"
) -> wire.Application:
    return wire.Application(
        token.decode_token(text)[1],
        Member(name, f"tls:{listen}", 2, 1),
        authority.make_key(installation.identity),
        ("/disks/0", "/disks/1"),
        None,
        False,
    )


def add_node(
    alpha: Installation, data: Path, name: str, listen: str = "127.0.0.1:7200"
) -> Installation:
    """A machine that has joined with a token of the keeper."""
    installation = Installation(data)
    text = keeper.make_token(alpha, NOW_US)
    welcome = keeper.admit(alpha, application(installation, name, text, listen), NOW_US)
    config = msgspec.structs.replace(alpha.config(), node=name, cluster_listen=listen, zone=2)
    pem = keeper.authority_pem(alpha.identity)
    store_welcome(installation, config, pem, welcome)
    return installation


def config_of(alpha: Installation) -> Config:
    return alpha.config()
