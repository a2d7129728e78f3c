"""Settings of single domains (domain configuration): what is known, and how it is kept.

They are kept and shown as the Identity API documents. No option changes what this service does, because users of
every domain are in its own database. Passwords are sealed and never shown.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from authd.tables.domain_option import domain_option
from authd.vault import Vault
from core import rows
from core.api.fault import forbidden, not_found
from core.database import Connection

TABLE = domain_option
Options = dict[str, dict[str, Any]]

# Sections and their options, with defaults as the API's reference shows them.
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "identity": {"driver": "sql", "list_limit": None},
    "ldap": {
        "url": "ldap://localhost",
        "user": None,
        "suffix": "cn=example,cn=com",
        "query_scope": "one",
        "page_size": 0,
        "alias_dereferencing": "default",
        "debug_level": None,
        "chase_referrals": None,
        "user_tree_dn": None,
        "user_filter": None,
        "user_objectclass": "inetOrgPerson",
        "user_id_attribute": "cn",
        "user_name_attribute": "sn",
        "user_mail_attribute": "mail",
        "user_description_attribute": "description",
        "user_pass_attribute": "userPassword",
        "user_enabled_attribute": "enabled",
        "user_enabled_invert": False,
        "user_enabled_mask": 0,
        "user_enabled_default": "True",
        "user_attribute_ignore": ["default_project_id"],
        "user_default_project_id_attribute": None,
        "user_enabled_emulation": False,
        "user_enabled_emulation_dn": None,
        "user_enabled_emulation_use_group_config": False,
        "user_additional_attribute_mapping": [],
        "group_tree_dn": None,
        "group_filter": None,
        "group_objectclass": "groupOfNames",
        "group_id_attribute": "cn",
        "group_name_attribute": "ou",
        "group_members_are_ids": False,
        "group_member_attribute": "member",
        "group_desc_attribute": "description",
        "group_attribute_ignore": [],
        "group_additional_attribute_mapping": [],
        "tls_cacertfile": None,
        "tls_cacertdir": None,
        "use_tls": False,
        "tls_req_cert": "demand",
        "use_pool": True,
        "pool_size": 10,
        "pool_retry_max": 3,
        "pool_retry_delay": 0.1,
        "pool_connection_timeout": -1,
        "pool_connection_lifetime": 600,
        "use_auth_pool": True,
        "auth_pool_size": 100,
        "auth_pool_connection_lifetime": 60,
    },
}
SECRET = {("ldap", "password")}


def invalid(reason: str) -> Exception:
    """The refusal of a configuration."""
    return forbidden(f"Invalid domain specific configuration: {reason}.")


def check_name(section: str, option: str | None = None) -> None:
    """Refuse sections and options that do not exist. Raises Fault 403."""
    if section not in DEFAULTS:
        raise invalid(f"group {section} is not supported")
    known = option is None or option in DEFAULTS[section] or (section, option) in SECRET
    if not known:
        raise invalid(f"option {option} in group {section} is not supported")


def check(given: Mapping[str, Any]) -> None:
    """Refuse a configuration that is empty or names what does not exist. Raises Fault 403."""
    if not given:
        raise invalid("No options specified")
    for section, options in given.items():
        check_name(section)
        if not isinstance(options, dict) or not options:
            raise invalid(f"the value of group {section} should be a dictionary of options")
        for option in options:
            check_name(section, option)


async def of(db: Connection, domain_id: str) -> Options:
    """A domain's options that may be shown."""
    statement = sa.select(TABLE).where(TABLE.c.domain_id == domain_id)
    found: Options = {}
    for row in await rows.rows(db, statement.order_by(TABLE.c.section, TABLE.c.option)):
        if (row["section"], row["option"]) not in SECRET:
            found.setdefault(row["section"], {})[row["option"]] = row["value"]
    return found


def part(found: Mapping[str, Any], section: str | None, option: str | None) -> dict[str, Any]:
    """The whole, one section or one option. Raises Fault 403 for what cannot be, 404 for what is not set."""
    if section is None:
        if not found:
            raise not_found("domain configuration", "any options")
        return dict(found)
    check_name(section, option)
    if section not in found or (option is not None and option not in found[section]):
        raise not_found("domain configuration", f"{section} {option or ''}".strip())
    return {option: found[section][option]} if option else {section: found[section]}


async def store(db: Connection, vault: Vault, domain_id: str, options: Options) -> None:
    """Set options of a domain; others stay."""
    for section, values in options.items():
        for option, value in values.items():
            kept = value
            if (section, option) in SECRET:
                sealed = vault.seal(f"{domain_id}/{section}/{option}", str(value))
                kept = base64.b64encode(sealed).decode()
            await remove(db, domain_id, section, option)
            await rows.insert(
                db,
                TABLE,
                {"domain_id": domain_id, "section": section, "option": option, "value": kept},
            )


async def remove(
    db: Connection, domain_id: str, section: str | None = None, option: str | None = None
) -> None:
    """Forget all options of a domain, those of a section, or one."""
    conditions = [TABLE.c.domain_id == domain_id]
    if section is not None:
        conditions.append(TABLE.c.section == section)
    if option is not None:
        conditions.append(TABLE.c.option == option)
    await rows.delete(db, TABLE, *conditions)
