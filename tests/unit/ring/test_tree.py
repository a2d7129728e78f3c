from __future__ import annotations

from ring.tree import grow
from tests.model import rings

DEVICES = (
    rings.device(0, zone=2, node=1),
    rings.device(1, zone=1, node=1),
    rings.device(2, zone=2, node=1),
    rings.device(3, region=2, zone=1, node=1),
)


def test_places_are_numbered_by_name_on_each_level() -> None:
    """The same zone or node name below another parent is another place."""
    tree = grow(DEVICES)
    assert tree.member == ((0, 0, 0, 1), (1, 0, 1, 2), (1, 0, 1, 2), (1, 0, 2, 3))
    assert tree.parent == ((0, 0), (0, 0, 1), (0, 1, 2), (0, 1, 1, 2))


def test_numbers_of_devices_add_up_in_their_places() -> None:
    """`gather` sums into any level, `children` inverts `parent`."""
    tree = grow(DEVICES)
    assert tree.gather(0, [1, 10, 100, 1000]) == [111, 1000]
    assert tree.gather(1, [1, 10, 100, 1000]) == [10, 101, 1000]
    assert tree.children(3) == [[0], [1, 2], [3]]
    assert (tree.device_count, tree.place_count(1)) == (4, 3)
