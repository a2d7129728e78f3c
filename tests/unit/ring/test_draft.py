from __future__ import annotations

import json

import pytest

from core.errors import Conflict, Corrupt, NotFound, Refused
from ring.draft import Draft, decode_draft, encode_draft
from tests.model import rings

DRAFT = rings.draft(rings.devices(1, 3, 1), widths=(3, 2), overload=0.1)


def test_a_draft_survives_its_json() -> None:
    """And the JSON is readable: one field a line."""
    data = encode_draft(DRAFT)
    assert decode_draft(data, "builder.json") == DRAFT
    assert data.count(b"\n") > 20


def test_devices_are_kept_in_the_order_of_their_ids() -> None:
    """So that equal drafts are equal bytes."""
    assert Draft(DRAFT.settings, DRAFT.policies, DRAFT.devices[::-1]) == DRAFT


def test_devices_join_change_weight_and_leave() -> None:
    """Each gives a new draft; the old one stays."""
    joined = DRAFT.with_device(rings.device(9))
    assert [one.id for one in joined.devices] == [0, 1, 2, 9]
    assert joined.with_weight(9, 5).devices[-1].weight == 5.0
    assert joined.without_device(9) == DRAFT
    assert joined.widths == (2, 3)


def test_impossible_edits_are_refused() -> None:
    """Ids and names are unique, and only known devices change."""
    with pytest.raises(Conflict):
        DRAFT.with_device(rings.device(1))
    with pytest.raises(NotFound):
        DRAFT.with_weight(9, 1)
    with pytest.raises(NotFound):
        DRAFT.without_device(9)
    with pytest.raises(Refused):
        DRAFT.with_weight(1, -1)


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 1},
        {"format": "1"},
        {"seed": "xyz"},
        {"part_power": 99},
        {"surprise": 1},
        {"devices": [{"id": 1}]},
        {"devices": [{**json.loads(encode_draft(DRAFT))["devices"][0], "colour": "red"}]},
        {"policies": []},
    ],
)
def test_a_draft_edited_into_nonsense_is_corrupt(changes: dict[str, object]) -> None:
    """Unknown keys and values out of range are errors that name the file."""
    document = json.loads(encode_draft(DRAFT)) | changes
    with pytest.raises(Corrupt, match=r"builder\.json"):
        decode_draft(json.dumps(document).encode(), "builder.json")
