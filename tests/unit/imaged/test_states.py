"""What is due on an image is decided from its row alone, and no state is a dead end."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from core.api.fault import Fault
from imaged import images, states
from imaged.states import Due, due

NOW = 10**15
NODE, OWNER = "here", "here/me"


def row(**changes: Any) -> dict[str, Any]:
    return images.new_row("i", NOW, **changes)


def decide(**changes: Any) -> Due | None:
    return due(row(**changes), now_us=NOW, node=NODE, owner=OWNER, tasks={"t"})


def test_nothing_is_due_on_what_rests_or_is_at_work() -> None:
    """Queued, active, and whatever somebody has a lease on."""
    assert decide(status="queued") is None
    assert decide(status="active") is None
    assert decide(status="uploading", size=1) is None
    busy = {"busy_owner": "there/x", "busy_until_us": NOW + 1}
    for status, kind in itertools.product(states.FOLLOWERS, ("upload", "import", "remove", "hash")):
        assert decide(status=status, busy_kind=kind, hash_due=True, **busy) is None


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"status": "saving"}, Due.UNDO),
        ({"status": "saving", "busy_kind": "upload"}, Due.UNDO),
        ({"status": "uploading", "busy_kind": "stage"}, Due.UNDO),
        ({"status": "importing", "task_id": None}, Due.UNDO),
        ({"status": "importing", "task_id": "gone"}, Due.UNDO),
        ({"status": "importing", "task_id": "t", "busy_kind": "import"}, Due.RELEASE),
        ({"status": "deleted"}, Due.REMOVE),
        ({"status": "deleted", "busy_kind": "remove"}, Due.REMOVE),
        ({"status": "active", "hash_due": True}, Due.HASH),
        ({"status": "active", "boot_form": "wanted"}, Due.CONVERT),
        ({"status": "active", "boot_form": "wanted", "busy_kind": "convert"}, Due.RELEASE),
    ],
)
@pytest.mark.parametrize(
    "dead",
    [
        {"busy_owner": "here/before", "busy_until_us": NOW + 10**9},
        {"busy_owner": "there/x", "busy_until_us": NOW - 1},
        {"busy_owner": OWNER, "busy_until_us": NOW - 1},
    ],
)
def test_what_the_dead_left_is_put_right(
    changes: dict[str, Any], what: Due, dead: dict[str, Any]
) -> None:
    """An earlier process of this machine is dead at once, others after their lease."""
    assert decide(**dead, **changes) is what


def test_every_state_leads_out_and_none_back_from_deleted() -> None:
    """Any state but the last can be left, and any image can be deleted."""
    for status, followers in states.FOLLOWERS.items():
        assert (states.DELETED in followers) is (status != states.DELETED)
        for to in states.FOLLOWERS:
            if to in followers:
                states.check_move(status, to)
            else:
                with pytest.raises(Fault):
                    states.check_move(status, to)
