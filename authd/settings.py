"""What an operator may set about the identity service, in `DATA/policy/identity-settings.json`.

Every value has the default that Keystone documents for its counterpart; 0 switches a rule off. An unknown name or a
value of the wrong type stops the start.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from core.errors import Corrupt

FILE = "identity-settings.json"
Count = Annotated[int, msgspec.Meta(ge=0, le=10**6)]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Password rules, lockout and the model by which limits are checked."""

    lockout_failure_attempts: Count = 0
    lockout_duration_s: Count = 1800
    disable_user_account_days_inactive: Count = 0
    password_expires_days: Count = 0
    unique_last_password_count: Count = 0
    minimum_password_age_days: Count = 0
    password_regex: str = ""
    password_regex_description: str = ""
    change_password_upon_first_use: bool = False
    limit_model: Literal["flat", "strict_two_level"] = "flat"


def load(path: Path) -> Settings:
    """The settings in a file; defaults when there is none. Raises Corrupt."""
    try:
        settings = msgspec.json.decode(path.read_bytes(), type=Settings)
        re.compile(settings.password_regex)
    except FileNotFoundError:
        return Settings()
    except (msgspec.MsgspecError, re.error) as error:
        raise Corrupt("BadSettings", f"{path}: {error}") from None
    return settings
