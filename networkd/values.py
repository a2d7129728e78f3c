"""Values of the API's attributes: what each may be, and its normal form. Pure.

A converter takes the value and the attribute's name, and returns the normal form or raises Fault 400 (InvalidInput). As in
Neutron, texts that read like numbers and booleans are taken for them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from networkd.fault import NetworkFault, malformed

Convert = Callable[[Any, str], Any]
Ip = ipaddress.IPv4Address | ipaddress.IPv6Address
Net = ipaddress.IPv4Network | ipaddress.IPv6Network

TRUE = frozenset({"1", "true", "t", "yes", "on"})
FALSE = frozenset({"0", "false", "f", "no", "off"})
UUID = re.compile(r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")
MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}")
LABEL = re.compile(r"(?!-)[a-zA-Z0-9-]{1,63}(?<!-)")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
INTEGER_MAX = 2**31 - 1
LIST_MAX = 1000


class Required:
    """Stands for the default of an attribute that must be given."""


class Unset:
    """Stands for the default of an attribute that its resource decides about."""


REQUIRED = Required()
UNSET = Unset()


class Attribute(NamedTuple):
    """One attribute that clients may set: how, when, and what it is when they do not."""

    convert: Convert
    default: Any = UNSET
    post: bool = True
    put: bool = True


def wrong(name: str, value: object, why: str) -> NetworkFault:
    """The refusal of one value; long values are cut."""
    shown = repr(value)
    if len(shown) > 120:
        shown = shown[:117] + "..."
    return NetworkFault(400, "HTTPBadRequest", f"Invalid input for {name}. Reason: {shown} {why}.")


def text(most: int = 255, *, least: int = 0) -> Convert:
    """A string; without NUL and half characters, which no database keeps."""

    def convert(value: Any, name: str) -> str:
        if not isinstance(value, str):
            raise wrong(name, value, "is not a valid string")
        if not least <= len(value) <= most:
            raise wrong(name, value, f"has not {least} to {most} characters")
        if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
            raise wrong(name, value, "holds a character that is not allowed")
        return value

    return convert


def plain(most: int = 255) -> Convert:
    """A string of one line without control characters: it may become a line of somebody's configuration."""
    inner = text(most)

    def convert(value: Any, name: str) -> str:
        found: str = inner(value, name)
        if CONTROL.search(found):
            raise wrong(name, value, "holds a control character")
        return found

    return convert


def optional(inner: Convert) -> Convert:
    """The same, or null."""

    def convert(value: Any, name: str) -> Any:
        return None if value is None else inner(value, name)

    return convert


def empty_or(inner: Convert) -> Convert:
    """The same; null and the empty string are both the empty string."""

    def convert(value: Any, name: str) -> Any:
        return "" if value is None or value == "" else inner(value, name)

    return convert


def boolean(value: Any, name: str) -> bool:
    """True or false, or a text that reads so."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | str):
        read = str(value).strip().lower()
        if read in TRUE:
            return True
        if read in FALSE:
            return False
    raise wrong(name, value, "cannot be converted to boolean")


def integer(least: int = 0, most: int = INTEGER_MAX) -> Convert:
    """A whole number, or a text that reads like one."""

    def convert(value: Any, name: str) -> int:
        number = value
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,12}", value):
            number = int(value)
        if isinstance(number, bool) or not isinstance(number, int):
            raise wrong(name, value, "is not an integer")
        if not least <= number <= most:
            raise wrong(name, value, f"is not between {least} and {most}")
        return number

    return convert


def choice(*values: Any) -> Convert:
    """One of some values."""

    def convert(value: Any, name: str) -> Any:
        if (
            isinstance(value, bool)
            or not isinstance(value, str | int | None)
            or value not in values
        ):
            raise wrong(name, value, f"is not in {list(values)}")
        return value

    return convert


def uuid(value: Any, name: str) -> str:
    """An id."""
    if not isinstance(value, str) or not UUID.fullmatch(value):
        raise wrong(name, value, "is not a valid UUID")
    return value


def address(value: Any, name: str) -> str:
    """An IP address in its normal form, without a zone."""
    if isinstance(value, str) and "%" not in value:
        try:
            return str(ipaddress.ip_address(value))
        except ValueError:
            pass
    raise wrong(name, value, "is not a valid IP address")


def cidr(value: Any, name: str) -> str:
    """A network in its normal form: host bits are dropped."""
    if isinstance(value, str) and "%" not in value and "/" in value:
        prefix = value.rpartition("/")[2]
        try:
            if prefix.isascii() and prefix.isdigit():
                return str(ipaddress.ip_network(value, strict=False))
        except ValueError:
            pass
    raise wrong(name, value, "is not a valid IP subnet")


def address_or_cidr(value: Any, name: str) -> str:
    """An address, or a network."""
    return cidr(value, name) if isinstance(value, str) and "/" in value else address(value, name)


def mac(value: Any, name: str) -> str:
    """A MAC address of one station, lower case with colons."""
    found = value.lower().replace("-", ":") if isinstance(value, str) else ""
    if not MAC.fullmatch(found) or int(found[:2], 16) & 1 or found == "00:00:00:00:00:00":
        raise wrong(name, value, "is not a valid MAC address")
    return found


def dns_name(value: Any, name: str) -> str:
    """A name of labels (RFC 1123), perhaps with the dot of the root; or empty."""
    found: str = plain(255)(value, name)
    labels = found.removesuffix(".").split(".")
    if found and not all(LABEL.fullmatch(label) for label in labels):
        raise wrong(name, value, "is not a valid name of the DNS")
    return found.lower()


def dns_domain(value: Any, name: str) -> str:
    """A name that ends with a dot; or empty."""
    found = dns_name(value, name)
    if found and not found.endswith("."):
        raise wrong(name, value, "is not a fully qualified name: it ends without a dot")
    return found


def array(inner: Convert, *, most: int = LIST_MAX, unique: bool = True) -> Convert:
    """A list of values; null is the empty one."""

    def convert(value: Any, name: str) -> list[Any]:
        if value is None:
            return []
        if not isinstance(value, list):
            raise wrong(name, value, "is not a list")
        if len(value) > most:
            raise wrong(name, value, f"has more than {most} items")
        found = [inner(item, name) for item in value]
        if unique and len({repr(item) for item in found}) != len(found):
            raise wrong(name, value, "has duplicate items")
        return found

    return convert


def record(fields: Mapping[str, Convert], *required: str) -> Convert:
    """An object of known attributes."""

    def convert(value: Any, name: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise wrong(name, value, "is not a dictionary")
        unknown = sorted(set(value) - set(fields))
        if unknown:
            raise wrong(name, unknown[0], "is not expected here")
        for key in required:
            if key not in value:
                raise wrong(name, value, f"lacks {key}")
        return {key: fields[key](item, f"{name}.{key}") for key, item in value.items()}

    return convert


def plain_object(value: Any, name: str) -> dict[str, Any]:
    """Any object of moderate size; null is the empty one."""
    if value is None:
        return {}
    if not isinstance(value, dict) or len(repr(value)) > 4096 or "\\x00" in repr(value):
        raise wrong(name, value, "is not a valid dictionary")
    return value


def any_of(*inner: Convert) -> Convert:
    """What the first of some converters takes."""

    def convert(value: Any, name: str) -> Any:
        for number, one in enumerate(inner):
            try:
                return one(value, name)
            except NetworkFault:
                if number == len(inner) - 1:
                    raise
        raise wrong(name, value, "is not valid")  # no converters

    return convert


def nothing_but(wanted: Any) -> Convert:
    """One value: what else there might be is not built."""

    def convert(value: Any, name: str) -> Any:
        if value != wanted:
            raise wrong(name, value, f"is not supported, only {wanted!r} is")
        return wanted

    return convert


def decoded(
    attributes: Mapping[str, Attribute], given: Mapping[str, Any], *, new: bool
) -> dict[str, Any]:
    """What a body says of a resource, in normal form, with defaults when it is new.

    Raises Fault 400 for attributes that nobody knows, that may not be set, or that are missing.
    """
    found: dict[str, Any] = {}
    unknown = sorted(set(given) - set(attributes))
    if unknown:
        raise malformed(f"Unrecognized attribute(s) '{', '.join(unknown)[:200]}'")
    for name, value in given.items():
        attribute = attributes[name]
        if new and not attribute.post:
            raise malformed(f"Attribute '{name}' not allowed in POST")
        if not new and not attribute.put:
            raise malformed(f"Cannot update read-only attribute {name}")
        found[name] = attribute.convert(value, name)
    for name, attribute in attributes.items():
        if not new or name in found or not attribute.post:
            continue
        if attribute.default is REQUIRED:
            raise malformed(f"Failed to parse request. Required attribute '{name}' not specified")
        if attribute.default is not UNSET:
            found[name] = attribute.default
    return found


def read_only(value: Any, name: str) -> Any:
    """For attributes that are only shown."""
    raise wrong(name, value, "cannot be set")


SHOWN_ONLY = Attribute(read_only, post=False, put=False)
