"""Password rules hold for all times, counts and options."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authd import password_rules
from authd.settings import Settings
from core.api.fault import Fault

COUNTS = st.integers(0, 5)
TIMES = st.integers(0, 10**16)
SETTINGS = st.builds(
    Settings,
    lockout_failure_attempts=COUNTS,
    lockout_duration_s=COUNTS,
    password_expires_days=COUNTS,
    minimum_password_age_days=COUNTS,
    change_password_upon_first_use=st.booleans(),
)
USERS = st.fixed_dictionaries(
    {
        "options": st.fixed_dictionaries(
            {},
            optional={
                "ignore_lockout_failure_attempts": st.booleans(),
                "ignore_password_expiry": st.booleans(),
            },
        ),
        "failed_count": COUNTS,
        "failed_us": TIMES,
    }
)


@given(SETTINGS, USERS, TIMES)
def test_a_lock_ends_and_is_reached_by_counting(
    settings: Settings, user: dict[str, Any], now_us: int
) -> None:
    """Enough failures in a row lock; no lock outlasts its duration; an excepted user is never locked."""
    state = dict(user)
    for _ in range(settings.lockout_failure_attempts):
        if password_rules.locked(settings, state, now_us):
            break
        count = password_rules.failures_after(settings, state, now_us)
        state = {**state, "failed_count": count, "failed_us": now_us}
    excepted = bool(user["options"].get("ignore_lockout_failure_attempts"))
    lasting = settings.lockout_failure_attempts > 0 and settings.lockout_duration_s > 0
    if lasting and not excepted:
        assert password_rules.locked(settings, state, now_us)
    end_us = state["failed_us"] + settings.lockout_duration_s * password_rules.SECOND_US
    assert not password_rules.locked(settings, state, max(end_us, now_us))
    if excepted:
        assert not password_rules.locked(settings, state, now_us)


@given(SETTINGS, USERS, TIMES, st.booleans())
def test_a_password_that_was_just_set_expires_when_it_should(
    settings: Settings, user: dict[str, Any], now_us: int, self_service: bool
) -> None:
    """At once only when the user is to choose their own; never for those excepted."""
    until_us = password_rules.expires_us(
        settings, user["options"], now_us, self_service=self_service
    )
    now_expired = password_rules.expired(user["options"], until_us, now_us)
    ignored = bool(user["options"].get("ignore_password_expiry"))
    wanted = settings.change_password_upon_first_use and not self_service and not ignored
    assert now_expired == wanted


@given(SETTINGS, TIMES, TIMES, st.booleans())
def test_the_minimum_age_binds_only_what_users_chose(
    settings: Settings, created_us: int, age_us: int, self_service: bool
) -> None:
    """And only for as many days as are set."""
    current = {"self_service": self_service, "created_us": created_us}
    too_young = age_us < settings.minimum_password_age_days * password_rules.DAY_US
    if self_service and too_young:
        with pytest.raises(Fault):
            password_rules.check_age(settings, current, created_us + age_us)
    else:
        password_rules.check_age(settings, current, created_us + age_us)
