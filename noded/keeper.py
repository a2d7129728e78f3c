"""What only the keeper does: make the cluster's authority, let machines in, put nodes out.

The keeper is the node that made the cloud. Every change of the list of nodes is made under the ring's
lock, next to the wanted state of the ring, so that two of them cannot cross.
"""

from __future__ import annotations

import secrets
from collections import Counter
from pathlib import Path

import msgspec

from core.errors import Conflict, Refused
from core.installation import Config, Installation, identity_url
from core.roster import Member, Roster, decode_signed, encode_signed
from core.trust import AUTHORITY, ROSTER
from noded import authority, token
from noded.wire import Application, Welcome
from ring.draft import Draft
from ring.epoch import Epoch
from ring.file import encode_epoch
from ring.local import devices_of
from ring.place import new_devices
from ring.store import RingStore

TOKEN_S = 3600


def found(installation: Installation, config: Config) -> None:
    """Make this node the keeper of a cluster of one. Needs `cluster_listen`."""
    directory = installation.identity
    if (directory / ROSTER).exists():
        return
    authority.make_authority(directory, config.installation)
    public = authority.make_key(directory)
    certificate = authority.issue(directory, config.node, public)
    authority.store_certificate(directory, certificate, (directory / AUTHORITY).read_bytes())
    member = Member(config.node, f"tls:{config.cluster_listen}", config.zone, config.ring_region)
    roster = Roster(1, config.node, ()).with_member(member)
    authority.store_roster(directory, authority.sign(directory, roster))


def make_token(installation: Installation, now_us: int, valid_s: int = TOKEN_S) -> str:
    """A token for one machine. Raises Refused on a node that is not the keeper."""
    directory = installation.identity
    require_keeper(installation)
    secret = secrets.token_bytes(token.SECRET_BYTES)
    with RingStore(installation.ring).locked():
        token.keep(directory, secret, until_us=now_us + valid_s * 1_000_000, now_us=now_us)
    return token.encode_token(authority.fingerprint(authority_pem(directory)), secret)


def authority_pem(directory: Path) -> bytes:
    """The authority's certificate."""
    return (directory / AUTHORITY).read_bytes()


def roster_of(installation: Installation) -> Roster:
    """The newest list on this node. Raises Refused before the node belongs to a cluster."""
    try:
        return decode_signed((installation.identity / ROSTER).read_bytes()).roster
    except FileNotFoundError:
        raise Refused(
            "NoCluster", "this cloud lives on one machine: `ringstack up --cluster-listen` opens it"
        ) from None


def require_keeper(installation: Installation) -> None:
    """Raises Refused naming the keeper when this is another node."""
    roster = roster_of(installation)
    if installation.config().node != roster.keeper:
        member = roster.member(roster.keeper)
        where = "" if member is None else f" at {member.address}"
        raise Refused("NotKeeper", f"this is the keeper's work: ask node {roster.keeper}{where}")


def admit(installation: Installation, application: Application, now_us: int) -> Welcome:
    """Let a machine in: certificate, list, devices staged. Raises Refused, Conflict, Corrupt."""
    require_keeper(installation)
    directory, store = installation.identity, RingStore(installation.ring)
    token.check(directory, application.secret, now_us)
    with store.locked():
        epoch = store.current()
        if epoch is None:
            raise Refused("NoRing", "the keeper has no ring yet")
        roster = roster_of(installation).with_member(application.member)
        certificate = authority.issue(directory, application.member.name, application.public_key)
        store.write_draft(with_devices(store.draft(), epoch, application))
        signed = authority.sign(directory, roster)
        authority.store_roster(directory, signed)
        token.use(directory, application.secret)
    config = installation.config()
    return Welcome(
        certificate,
        encode_signed(signed),
        encode_epoch(epoch),
        config.installation,
        config.region,
        config.domains,
        config.database,
        msgspec.json.encode(installation.secrets()),
        key_files(installation),
        identity_url(config),
    )


def key_files(installation: Installation) -> dict[str, bytes]:
    """The keys of the identity service, which every node must have to read each other's tokens."""
    root = installation.data / "keys"
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


def with_devices(draft: Draft, epoch: Epoch, application: Application) -> Draft:
    """The wanted ring with a new node's devices; what an earlier try left of them is replaced."""
    member = application.member
    if devices_of(epoch.devices, member.name):
        raise Conflict("NodeHasDevices", f"the ring has devices of a node {member.name} already")
    for device in devices_of(draft.devices, member.name):
        draft = draft.without_device(device.id)
    taken = [device.id for device in (*draft.devices, *epoch.devices)]
    listen = member.address.removeprefix("tls:")
    for device in new_devices(
        application.devices,
        node=member.name,
        zone=member.zone,
        region=member.ring_region,
        listen=("tcp:" if application.plain_links else "tls:") + listen,
        objectd_count=application.objectd_count,
        first_id=1 + max(taken, default=-1),
    ):
        draft = draft.with_device(device)
    return draft


def remove(installation: Installation, name: str, *, lost: bool) -> list[int]:
    """Put a node out for good; returns the devices whose removal from the ring was staged.

    Refused while its devices hold data, unless it is lost. Raises Refused, NotFound, Conflict.
    """
    require_keeper(installation)
    store = RingStore(installation.ring)
    with store.locked():
        roster = roster_of(installation).without(name)
        epoch, draft = store.current(), store.draft()
        holding = () if epoch is None else holders(epoch, name)
        if holding and not lost:
            raise Conflict(
                "NodeHoldsData",
                f"devices {', '.join(map(str, holding))} of node {name} hold data: empty them first "
                f"(`ringstack ring remove` and `apply`), or say --lost if the node is gone for good",
            )
        staged = [device.id for device in devices_of(draft.devices, name)]
        for device_id in staged:
            draft = draft.without_device(device_id)
        store.write_draft(draft)
        signed = authority.sign(installation.identity, roster)
        authority.store_roster(installation.identity, signed)
    return staged


def holders(epoch: Epoch, name: str) -> tuple[int, ...]:
    """Devices of a node that any partition lives on."""
    used: Counter[int] = Counter()
    for table in epoch.tables.values():
        used.update(table)
    for moved in epoch.sources.values():  # what has just moved away may still be there
        used.update(moved.positions)
    return tuple(
        device.id
        for position, device in enumerate(epoch.devices)
        if device.node == name and used[position]
    )
