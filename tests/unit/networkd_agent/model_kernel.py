"""A kernel as far as the agent's steps change it: what the real one is after them, without the real one."""

from __future__ import annotations

import msgspec

from networkd.plan import step as steps_of
from networkd.plan.difference import NOTHING, Seen, steps
from networkd.plan.plan import MACHINE, VETH, Link, Plan


class Space:
    """One namespace."""

    def __init__(self) -> None:
        self.links: dict[str, Link] = dict(NOTHING.links)
        self.addresses: dict[str, set[str]] = {}
        self.paths: set[object] = set()
        self.floods: dict[str, set[str]] = {}
        self.settings: dict[str, str] = {}
        self.tables: dict[tuple[str, str], str] = {}


class ModelKernel:
    """All namespaces. A pair's ends go together; what an interface has goes with it."""

    def __init__(self) -> None:
        self.spaces = {MACHINE: Space()}
        self.pairs: list[tuple[tuple[str, str], tuple[str, str]]] = []
        self.done: list[steps_of.Step] = []

    def see(self, name: str) -> Seen | None:
        space = self.spaces.get(name)
        if space is None:
            return None
        return Seen(
            dict(space.links),
            {link: frozenset(found) for link, found in space.addresses.items()},
            frozenset(space.paths),  # type: ignore[arg-type]
            {link: frozenset(found) for link, found in space.floods.items()},
            dict(space.settings),
            dict(space.tables),
        )

    def settle(self, plan: Plan) -> int:
        """One round of the agent; how many steps it took."""
        making: list[steps_of.Step] = []
        wiring: list[steps_of.Step] = []
        for space in plan.spaces.values():
            made, wired = steps(space, self.see(space.name), plan.host_space)
            making += made
            wiring += wired
        for one in (*making, *wiring):
            self.perform(one)
        return len(making) + len(wiring)

    def drop_spaces(self, plan: Plan) -> None:
        for name in self.spaces.keys() - plan.spaces.keys():
            for link in list(self.spaces[name].links):
                self.remove(name, link)
            del self.spaces[name]

    def remove(self, space: str, name: str) -> None:
        self.spaces[space].links.pop(name, None)
        for kept in (self.spaces[space].addresses, self.spaces[space].floods):
            kept.pop(name, None)
        gone = {path for path in self.spaces[space].paths if getattr(path, "link", "") == name}
        self.spaces[space].paths -= gone
        for pair in list(self.pairs):
            if (space, name) in pair:
                self.pairs.remove(pair)
                for far in pair:
                    self.remove(*far)

    def perform(self, one: steps_of.Step) -> None:
        self.done.append(one)
        if isinstance(one, steps_of.AddSpace):
            assert one.space not in self.spaces
            self.spaces[one.space] = Space()
            return
        space = self.spaces[one.space]
        if isinstance(one, steps_of.RemoveLink):
            self.remove(one.space, one.name)
        elif isinstance(one, steps_of.AddLink):
            self.add(one.space, one.link)
        elif isinstance(one, steps_of.Setting):
            space.settings[one.key] = one.value
        elif isinstance(one, steps_of.Rules):
            for key in one.stale:
                del space.tables[key]
            space.tables |= {(table.family, table.name): table.digest for table in one.tables}
        elif isinstance(one, steps_of.SetLink):
            self.change(space, one)
        elif isinstance(one, steps_of.AddAddress | steps_of.RemoveAddress):
            held = space.addresses.setdefault(one.link, set())
            assert one.link in space.links
            (held.add if isinstance(one, steps_of.AddAddress) else held.remove)(one.address)
        elif isinstance(one, steps_of.AddPath | steps_of.RemovePath):
            assert one.path.link in space.links
            if isinstance(one, steps_of.AddPath):
                assert space.links[one.path.link].up
                space.paths = {
                    path
                    for path in space.paths
                    if (path.destination, path.link) != (one.path.destination, one.path.link)  # type: ignore[attr-defined]
                }
                space.paths.add(one.path)
            else:
                space.paths.discard(one.path)  # may have gone with its interface
        else:
            held = space.floods.setdefault(one.link, set())
            (held.add if isinstance(one, steps_of.AddFlood) else held.remove)(one.peer)

    def add(self, space: str, link: Link) -> None:
        if link.name in self.spaces[space].links:
            self.remove(space, link.name)
        made = msgspec.structs.replace(link, up=False, master="", owner="", peer="", peer_space="")
        if link.kind == VETH:
            if link.peer in self.spaces[link.peer_space].links:
                self.remove(link.peer_space, link.peer)
            far = Link(link.peer, VETH, link.mtu, up=False)
            self.spaces[link.peer_space].links[link.peer] = far
            self.pairs.append(((space, link.name), (link.peer_space, link.peer)))
        self.spaces[space].links[link.name] = made

    @staticmethod
    def change(space: Space, one: steps_of.SetLink) -> None:
        link = space.links[one.name]
        fields = {
            key: value
            for key in ("mtu", "mac", "master", "up")
            if (value := getattr(one, key)) is not None
        }
        if fields.get("master"):
            assert fields["master"] in space.links or one.space == MACHINE
        if fields.get("up") is False:
            space.paths = {path for path in space.paths if getattr(path, "link", "") != one.name}
        space.links[one.name] = msgspec.structs.replace(link, **fields)
