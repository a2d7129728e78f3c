"""Rules about passwords: strength, age, expiry, history, lockout. Pure.

As Keystone documents under "Security compliance": 0 switches a rule off, user options make exceptions. Times are
microseconds since 1970 UTC.
"""

from __future__ import annotations

import re
from typing import Any

from authd.settings import Settings
from core.api.fault import bad_request

DAY_US = 86_400_000_000
SECOND_US = 1_000_000


def check_strength(settings: Settings, password: str) -> None:
    """Refuse a password that does not begin with a match of the pattern. Raises Fault 400."""
    if settings.password_regex and not re.match(settings.password_regex, password):
        why = settings.password_regex_description or "it does not match the pattern that is set"
        raise bad_request(f"The password does not match the requirements: {why}.")


def expires_us(
    settings: Settings, options: dict[str, Any], now_us: int, *, self_service: bool
) -> int | None:
    """When a password that is set now expires: at once if the user is to choose their own."""
    must_change = settings.change_password_upon_first_use and not self_service
    if must_change and not options.get("ignore_change_password_upon_first_use"):
        return now_us
    if not settings.password_expires_days or options.get("ignore_password_expiry"):
        return None
    return now_us + settings.password_expires_days * DAY_US


def expired(options: dict[str, Any], until_us: int | None, now_us: int) -> bool:
    """Whether a password no longer logs in, but may still be changed by its user."""
    return until_us is not None and until_us <= now_us and not options.get("ignore_password_expiry")


def locked(settings: Settings, user: dict[str, Any], now_us: int) -> bool:
    """Whether too many wrong passwords were tried lately."""
    if not settings.lockout_failure_attempts:
        return False
    if user["options"].get("ignore_lockout_failure_attempts"):
        return False
    if user["failed_count"] < settings.lockout_failure_attempts:
        return False
    return bool(now_us < user["failed_us"] + settings.lockout_duration_s * SECOND_US)


def failures_after(settings: Settings, user: dict[str, Any], now_us: int) -> int:
    """How many wrong passwords count after one more; those before a lock that has passed do not."""
    over = now_us >= user["failed_us"] + settings.lockout_duration_s * SECOND_US
    if user["failed_count"] >= settings.lockout_failure_attempts and over:
        return 1
    return int(user["failed_count"]) + 1


def inactive(settings: Settings, user: dict[str, Any], now_us: int) -> bool:
    """Whether a user has not logged in for so long that they count as disabled."""
    days = settings.disable_user_account_days_inactive
    if not days or user["options"].get("ignore_user_inactivity"):
        return False
    return bool(user["active_us"] + days * DAY_US <= now_us)


def check_age(settings: Settings, current: dict[str, Any], now_us: int) -> None:
    """Refuse to change a password that its user chose too recently. Raises Fault 400."""
    if not settings.minimum_password_age_days or not current["self_service"]:
        return
    left_us = current["created_us"] + settings.minimum_password_age_days * DAY_US - now_us
    if left_us > 0:
        raise bad_request(
            "You cannot change your password at this time due to the minimum password age. Once you change"
            f" your password, it must be used for {settings.minimum_password_age_days} day(s) before it"
            f" can be changed. Please try again in {-(-left_us // DAY_US)} day(s) or contact your"
            " administrator to reset your password."
        )


def check_changeable(options: dict[str, Any]) -> None:
    """Refuse a change by the user when an administrator locked the password. Raises Fault 400."""
    if options.get("lock_password"):
        raise bad_request(
            "You cannot change your password at this time due to password policy disallowing password"
            " changes. Please contact your administrator to reset your password."
        )


def used_before(settings: Settings) -> Exception:
    """The refusal of a password that is among the last ones."""
    return bad_request(
        "The new password cannot be identical to a previous password. The total number which includes the"
        f" new password must be unique is {settings.unique_last_password_count}."
    )
