"""JSON schemas of the Image API's resources, as `/v2/schemas` shows them to clients that build their models of them. Pure."""

from __future__ import annotations

from typing import Any

from imaged.attributes import CONTAINER_FORMATS, DISK_FORMATS, UUID, VISIBILITIES

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
SHOWN: Schema = {"type": "string", "readOnly": True}
TIME: Schema = {**SHOWN, "format": "date-time"}
ID: Schema = {"type": "string", "pattern": f"^{UUID}$"}
STATUSES = (
    "queued",
    "saving",
    "active",
    "killed",
    "deleted",
    "uploading",
    "importing",
    "pending_delete",
    "deactivated",
)


def _about(schema: Schema, description: str) -> Schema:
    return {**schema, "description": description}


def _text(description: str, most: int | None = None) -> Schema:
    return {**TEXT, "description": description, **({"maxLength": most} if most else {})}


def _maybe(kind: str, description: str, most: int | None = None, *, given: bool = True) -> Schema:
    bound = {"maxLength": most} if most else {}
    return {
        "type": ["null", kind],
        "description": description,
        **bound,
        **({} if given else {"readOnly": True}),
    }


IMAGE: Schema = {
    "id": _about(ID, "An identifier for the image"),
    "name": _maybe("string", "Descriptive name for the image", 255),
    "status": {**SHOWN, "description": "Status of the image", "enum": list(STATUSES)},
    "visibility": {
        **TEXT,
        "description": "Scope of image accessibility",
        "enum": list(VISIBILITIES),
    },
    "protected": {"type": "boolean", "description": "If true, image will not be deletable."},
    "os_hidden": {
        "type": "boolean",
        "description": "If true, image will not appear in default image list response.",
    },
    "checksum": _maybe("string", "md5 hash of image contents.", 32, given=False),
    "os_hash_algo": _maybe("string", "Algorithm of os_hash_value", 64, given=False),
    "os_hash_value": _maybe("string", "Hexdigest of the image contents", 128, given=False),
    "owner": _maybe("string", "Owner of the image", 255),
    "size": _maybe("integer", "Size of image file in bytes", given=False),
    "virtual_size": _maybe("integer", "Virtual size of image in bytes", given=False),
    "container_format": {
        **_maybe("string", "Format of the container"),
        "enum": [None, *CONTAINER_FORMATS],
    },
    "disk_format": {**_maybe("string", "Format of the disk"), "enum": [None, *DISK_FORMATS]},
    "created_at": _about(SHOWN, "Date and time of image registration"),
    "updated_at": _about(SHOWN, "Date and time of the last image modification"),
    "tags": {
        "type": "array",
        "description": "List of strings related to the image",
        "items": {"type": "string", "maxLength": 255},
    },
    "direct_url": _about(SHOWN, "URL to access the image file kept in external store"),
    "min_ram": {
        "type": "integer",
        "description": "Amount of ram (in MB) required to boot image.",
    },
    "min_disk": {
        "type": "integer",
        "description": "Amount of disk space (in GB) required to boot image.",
    },
    "self": _about(SHOWN, "An image self url"),
    "file": _about(SHOWN, "An image file url"),
    "stores": _about(SHOWN, "Store in which image data resides."),
    "schema": _about(SHOWN, "An image schema url"),
    "locations": {
        "type": "array",
        "description": "A set of URLs to access the image file kept in external store",
        "items": {
            "type": "object",
            "properties": {
                "url": {"type": "string", "maxLength": 255},
                "metadata": {"type": "object"},
                "validation_data": {
                    "type": "object",
                    "writeOnly": True,
                    "additionalProperties": False,
                    "properties": {
                        "checksum": {"type": "string", "minLength": 32, "maxLength": 32},
                        "os_hash_algo": {"type": "string", "maxLength": 64},
                        "os_hash_value": {"type": "string", "maxLength": 128},
                    },
                    "required": ["os_hash_algo", "os_hash_value"],
                },
            },
            "required": ["url", "metadata"],
        },
    },
}
MEMBER: Schema = {
    "member_id": _text("An identifier for the image member (tenantId)"),
    "image_id": _about(ID, "An identifier for the image"),
    "created_at": _text("Date and time of image member creation"),
    "updated_at": _text("Date and time of last modification of image member"),
    "status": {
        **_text("The status of this image member"),
        "enum": ["pending", "accepted", "rejected"],
    },
    "schema": SHOWN,
}
TASK_STUB: Schema = {
    "id": _about(ID, "An identifier for the task"),
    "type": {
        **_text("The type of task represented by this content"),
        "enum": ["import", "api_image_import", "location_import"],
    },
    "status": {
        **_text("The current status of this task"),
        "enum": ["pending", "processing", "success", "failure"],
    },
    "owner": _text("An identifier for the owner of this task"),
    "image_id": _text("Image associated with the task"),
    "request_id": _text("Human-readable informative request-id"),
    "user_id": _text("User associated with the task"),
    "expires_at": _maybe("string", "Datetime when this resource would be subject to removal"),
    "created_at": _text("Datetime when this resource was created"),
    "updated_at": _text("Datetime when this resource was updated"),
    "self": SHOWN,
    "schema": SHOWN,
}
TASK: Schema = {
    **TASK_STUB,
    "input": _maybe("object", "The parameters required by task, JSON blob"),
    "result": _maybe("object", "The result of current task, JSON blob"),
    "message": _text("Human-readable informative message, usually on failure"),
}
LINKS = [
    {"rel": "self", "href": "{self}"},
    {"rel": "enclosure", "href": "{file}"},
    {"rel": "describedby", "href": "{schema}"},
]
COLLECTION_LINKS = [
    {"rel": "first", "href": "{first}"},
    {"rel": "next", "href": "{next}"},
    {"rel": "describedby", "href": "{schema}"},
]


def whole(name: str, properties: Schema, **more: Any) -> Schema:
    """A schema document that allows nothing else."""
    return {"name": name, "properties": properties, "additionalProperties": False, **more}


def collection(name: str, item: Schema, *, by_name: bool = False) -> Schema:
    """The schema of a list of things, or of a dictionary of them."""
    definitions = {"definitions": item["definitions"]} if "definitions" in item else {}
    item = {key: value for key, value in item.items() if key != "definitions"}
    many = (
        {"type": "object", "additionalProperties": item}
        if by_name
        else {"type": "array", "items": item}
    )
    properties = {name: many, "first": TEXT, "next": TEXT, "schema": TEXT}
    return {"name": name, "properties": properties, "links": COLLECTION_LINKS, **definitions}


def image() -> Schema:
    """An image: everything else in it is a property, a string."""
    return {
        "name": "image",
        "properties": IMAGE,
        "additionalProperties": {"type": "string"},
        "links": LINKS,
    }


def documents() -> dict[str, Schema]:
    """Every schema of images, members and tasks by its path below `/v2/schemas`."""
    member, task = whole("member", MEMBER), whole("task", TASK)
    return {
        "image": image(),
        "images": collection("images", image()),
        "member": member,
        "members": collection("members", member),
        "task": task,
        "tasks": collection("tasks", whole("task", TASK_STUB)),
    }
