"""JSON schemas of the metadata definitions, as `/v2/schemas/metadefs` shows them, and their counterparts that check. Pure."""

from __future__ import annotations

from typing import Any

from core.api.shape import (
    Check,
    Shape,
    anything,
    array,
    boolean,
    choice,
    integer,
    nullable,
    text,
    wrong,
)
from imaged.schemas import SHOWN, TEXT, TIME, Schema, collection, whole

TYPES = ("array", "boolean", "integer", "number", "object", "string")
COUNT: Schema = {"$ref": "#/definitions/positiveInteger"}
COUNT_OR_0: Schema = {"$ref": "#/definitions/positiveIntegerDefault0"}
TEXTS: Schema = {"$ref": "#/definitions/stringArray"}
PROPERTIES: Schema = {"$ref": "#/definitions/property"}
PROPERTY: Schema = {
    "name": {"type": "string", "maxLength": 80},
    "title": TEXT,
    "description": TEXT,
    "operators": {"type": "array", "items": TEXT},
    "type": {"type": "string", "enum": [*TYPES, None]},
    "required": TEXTS,
    "minimum": {"type": "number"},
    "maximum": {"type": "number"},
    "maxLength": COUNT,
    "minLength": COUNT_OR_0,
    "pattern": {"type": "string", "format": "regex"},
    "enum": {"type": "array"},
    "readonly": {"type": "boolean"},
    "default": {},
    "items": {
        "type": "object",
        "properties": {
            "type": {"type": "string", "enum": [*TYPES, None]},
            "enum": {"type": "array"},
        },
    },
    "maxItems": COUNT,
    "minItems": COUNT_OR_0,
    "uniqueItems": {"type": "boolean", "default": False},
    "additionalItems": {"type": "boolean"},
}
DEFINITIONS: Schema = {
    "positiveInteger": {"type": "integer", "minimum": 0},
    "positiveIntegerDefault0": {
        "allOf": [{"$ref": "#/definitions/positiveInteger"}, {"default": 0}]
    },
    "stringArray": {"type": "array", "items": TEXT, "uniqueItems": True},
    "property": {
        "type": "object",
        "additionalProperties": {
            "type": "object",
            "required": ["title", "type"],
            "properties": PROPERTY,
        },
    },
}
ASSOCIATION: Schema = {
    "name": {"type": "string", "maxLength": 80},
    "prefix": {"type": "string", "maxLength": 80},
    "properties_target": {"type": "string", "maxLength": 80},
    "created_at": TIME,
    "updated_at": TIME,
}
OBJECT: Schema = {
    "name": {"type": "string", "maxLength": 255},
    "description": TEXT,
    "required": TEXTS,
    "properties": PROPERTIES,
    "schema": SHOWN,
    "self": SHOWN,
    "created_at": TIME,
    "updated_at": TIME,
}
TAG: Schema = {
    "name": {"type": "string", "maxLength": 80},
    "created_at": TIME,
    "updated_at": TIME,
}
NAMESPACE: Schema = {
    "namespace": {"type": "string", "maxLength": 80},
    "display_name": {"type": "string", "maxLength": 80},
    "description": {"type": "string", "maxLength": 500},
    "visibility": {"type": "string", "enum": ["public", "private"]},
    "protected": {"type": "boolean"},
    "owner": {"type": "string", "maxLength": 255},
    "created_at": TIME,
    "updated_at": TIME,
    "schema": SHOWN,
    "self": SHOWN,
    "resource_type_associations": {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"name": TEXT, "prefix": TEXT, "properties_target": TEXT},
        },
    },
    "properties": PROPERTIES,
    "objects": {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "name": TEXT,
                "description": TEXT,
                "required": TEXTS,
                "properties": PROPERTIES,
            },
        },
    },
    "tags": {"type": "array", "items": {"type": "object", "properties": {"name": TEXT}}},
}


def documents() -> dict[str, Schema]:
    """Every schema of metadata definitions by its path below `/v2/schemas`."""
    defined: dict[str, Any] = {"definitions": DEFINITIONS}
    namespace = whole("namespace", NAMESPACE, required=["namespace"], **defined)
    thing = whole("object", OBJECT, required=["name"], **defined)
    attribute = whole("property", PROPERTY, required=["type", "title", "name"], **defined)
    listed = whole("property", PROPERTY, required=["type", "title"], **defined)
    tag = whole("tag", TAG, required=["name"])
    association = whole("resource_type_association", ASSOCIATION, required=["name"])
    return {
        "metadefs/namespace": namespace,
        "metadefs/namespaces": collection("namespaces", namespace),
        "metadefs/object": thing,
        "metadefs/objects": collection("objects", thing),
        "metadefs/property": attribute,
        "metadefs/properties": collection("properties", listed, by_name=True),
        "metadefs/tag": tag,
        "metadefs/tags": collection("tags", tag),
        "metadefs/resource_type": association,
        "metadefs/resource_types": collection("resource_type_associations", association),
    }


def _number(value: Any, where: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong(where, value, "is not of type 'number'")


_TEXTS = array(text(), unique=True)
_COUNT = integer(0)
_TYPE = nullable(choice(*TYPES))
_ATTRIBUTE: dict[str, Check] = {
    "name": text(0, 80),
    "title": text(),
    "description": text(),
    "operators": array(text()),
    "type": _TYPE,
    "required": _TEXTS,
    "minimum": _number,
    "maximum": _number,
    "maxLength": _COUNT,
    "minLength": _COUNT,
    "pattern": text(),
    "enum": array(anything),
    "readonly": boolean,
    "default": anything,
    "items": Shape({"type": _TYPE, "enum": array(anything)}),
    "maxItems": _COUNT,
    "minItems": _COUNT,
    "uniqueItems": boolean,
    "additionalItems": boolean,
}
# Names end up in paths of their own, so a slash would make them unreachable.
_NAMED = r"[^/\0]+"


def _properties(value: Any, where: str) -> None:
    if not isinstance(value, dict):
        raise wrong(where, value, "is not of type 'object'")
    check = Shape(_ATTRIBUTE, ["title", "type"], more=False)
    for name, attribute in value.items():
        check(attribute, f"{where}.{name}")


_OBJECT: dict[str, Check] = {
    "name": text(1, 255, pattern=_NAMED),
    "description": nullable(text()),
    "required": _TEXTS,
    "properties": _properties,
}
_ASSOCIATION: dict[str, Check] = {
    "name": text(1, 80, pattern=_NAMED),
    "prefix": nullable(text(0, 80)),
    "properties_target": nullable(text(0, 80)),
}
_TAG: dict[str, Check] = {"name": text(1, 80, pattern=_NAMED)}
CHECK_ATTRIBUTE = Shape(
    {**_ATTRIBUTE, "name": text(1, 80, pattern=_NAMED)}, ["name", "title", "type"], more=False
)
CHECK_OBJECT = Shape({**_OBJECT, "schema": text(), "self": text()}, ["name"], more=False)
CHECK_TAG = Shape(_TAG, ["name"], more=False)
CHECK_TAGS = Shape({"tags": array(CHECK_TAG)}, ["tags"], more=False)
CHECK_ASSOCIATION = Shape(_ASSOCIATION, ["name"], more=False)
CHECK_NAMESPACE = Shape(
    {
        "namespace": text(1, 80, pattern=_NAMED),
        "display_name": nullable(text(0, 80)),
        "description": nullable(text(0, 500)),
        "visibility": choice("public", "private"),
        "protected": boolean,
        "owner": text(0, 255),
        "resource_type_associations": array(Shape(_ASSOCIATION, ["name"])),
        "properties": _properties,
        "objects": array(Shape(_OBJECT, ["name"])),
        "tags": array(CHECK_TAG),
    },
    ["namespace"],
    more=False,
)
