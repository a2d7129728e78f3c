"""Microversions and actions of the API kit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.api.fault import Fault
from core.api.microversion import Microversions

VOLUME = Microversions("volume", (3, 0), (3, 71))


@pytest.mark.parametrize(
    ("header", "version"),
    [
        (None, (3, 0)),
        ("", (3, 0)),
        ("compute 2.1", (3, 0)),
        ("volume 3.27", (3, 27)),
        ("compute 2.1, volume 3.8", (3, 8)),
        ("volume latest", (3, 71)),
        ("Volume 3.71", (3, 71)),
    ],
)
def test_a_header_names_the_version(header, version) -> None:
    """None is the lowest, latest the highest; other services' words are theirs."""
    assert VOLUME.chosen(header) == version


@pytest.mark.parametrize(
    ("header", "status"),
    [("volume 3", 400), ("volume three", 400), ("volume 3.72", 406), ("volume 2.0", 406)],
)
def test_what_is_not_spoken_is_refused(header, status) -> None:
    """400 for what is no version, 406 for one that is not there."""
    with pytest.raises(Fault) as refused:
        VOLUME.chosen(header)
    assert refused.value.status == status


@given(st.text(max_size=40))
def test_any_header_is_a_version_or_a_fault(header) -> None:
    """And nothing else."""
    status = 0
    version = VOLUME.lowest
    try:
        version = VOLUME.chosen(header)
    except Fault as fault:
        status = fault.status
    assert status in {0, 400, 406}
    assert VOLUME.lowest <= version <= VOLUME.highest
