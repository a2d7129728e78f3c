"""The policy rules of the Image API with their documented defaults.

Names, check strings and scopes are those of Glance's policy reference, so that overrides written for it mean the
same here. A rule's target is an image (`owner`, `visibility`, `member_id`) or a metadata namespace.
"""

from __future__ import annotations

from core.policy import Rule

PROJECT = ("project",)
ADMIN = "rule:context_is_admin"
ANYBODY = "rule:default"
METADEF_ADMIN = "rule:metadef_admin"

MEMBER = "role:member and project_id:%(project_id)s"
READER = "role:reader and project_id:%(project_id)s"
SEEN = (
    "(project_id:%(project_id)s or project_id:%(member_id)s or 'community':%(visibility)s or"
    " 'public':%(visibility)s or 'shared':%(visibility)s)"
)
ADMIN_OR_MEMBER = f"{ADMIN} or ({MEMBER})"
ADMIN_OR_READER = f"{ADMIN} or ({READER})"
ADMIN_OR_OWNER = f"{ADMIN} or ({MEMBER} and project_id:%(owner)s)"
ADMIN_OR_SHARED = f"{ADMIN} or (role:member and project_id:%(member_id)s)"
ADMIN_OR_READER_OR_SHARED = (
    f"{ADMIN} or role:reader and (project_id:%(project_id)s or project_id:%(member_id)s)"
)
GET_IMAGE = f"{ADMIN} or (role:reader and {SEEN})"
DOWNLOAD_IMAGE = f"{ADMIN} or (role:member and {SEEN})"
SERVICE_OR_OWNER = f"rule:service_api or ({MEMBER} and project_id:%(owner)s)"
GET_NAMESPACE = (
    f"{ADMIN} or (role:reader and (project_id:%(project_id)s or 'public':%(visibility)s))"
)

BASE = (
    Rule("default", ""),
    Rule("context_is_admin", "role:admin"),
    Rule("service_api", "role:service or role:admin"),
    Rule("metadef_default", ""),
    Rule("metadef_admin", ADMIN),
)

IMAGES = (
    Rule("add_image", ADMIN_OR_OWNER, PROJECT),
    Rule("delete_image", ADMIN_OR_MEMBER, PROJECT),
    Rule("get_image", GET_IMAGE, PROJECT),
    Rule("get_images", ADMIN_OR_READER, PROJECT),
    Rule("modify_image", ADMIN_OR_MEMBER, PROJECT),
    Rule("publicize_image", ADMIN, PROJECT),
    Rule("communitize_image", ADMIN_OR_MEMBER, PROJECT),
    Rule("download_image", DOWNLOAD_IMAGE, PROJECT),
    Rule("download_from_store", DOWNLOAD_IMAGE, PROJECT),
    Rule("upload_image", ADMIN_OR_MEMBER, PROJECT),
    Rule("delete_image_location", ADMIN, PROJECT),
    Rule("get_image_location", ADMIN_OR_READER, PROJECT),
    Rule("set_image_location", ADMIN_OR_MEMBER, PROJECT),
    Rule("add_image_location", SERVICE_OR_OWNER, PROJECT),
    Rule("fetch_image_location", "rule:service_api", PROJECT),
    Rule("add_member", ADMIN_OR_MEMBER, PROJECT),
    Rule("delete_member", ADMIN_OR_MEMBER, PROJECT),
    Rule("get_member", ADMIN_OR_READER_OR_SHARED, PROJECT),
    Rule("get_members", ADMIN_OR_READER_OR_SHARED, PROJECT),
    Rule("modify_member", ADMIN_OR_SHARED, PROJECT),
    Rule("deactivate", ADMIN_OR_MEMBER, PROJECT),
    Rule("reactivate", ADMIN_OR_MEMBER, PROJECT),
    Rule("copy_image", ADMIN, PROJECT),
    Rule("stores_info_detail", f"{ADMIN} or rule:service_api", PROJECT),
    Rule("get_task", ANYBODY, PROJECT),
    Rule("get_tasks", ANYBODY, PROJECT),
    Rule("add_task", ANYBODY, PROJECT),
    Rule("tasks_api_access", ADMIN, PROJECT),
    # Ours: asking for the form of an image that a volume can begin from.
    Rule("prepare_boot_form", "rule:service_api", PROJECT),
)

METADEFS = (
    Rule("get_metadef_namespaces", ADMIN_OR_READER, PROJECT),
    *(
        Rule(name, GET_NAMESPACE, PROJECT)
        for name in (
            "get_metadef_namespace",
            "get_metadef_object",
            "get_metadef_objects",
            "list_metadef_resource_types",
            "get_metadef_resource_type",
            "get_metadef_property",
            "get_metadef_properties",
            "get_metadef_tag",
            "get_metadef_tags",
        )
    ),
    *(
        Rule(name, METADEF_ADMIN, PROJECT)
        for name in (
            "modify_metadef_namespace",
            "add_metadef_namespace",
            "delete_metadef_namespace",
            "modify_metadef_object",
            "add_metadef_object",
            "delete_metadef_object",
            "add_metadef_resource_type_association",
            "remove_metadef_resource_type_association",
            "modify_metadef_property",
            "add_metadef_property",
            "remove_metadef_property",
            "modify_metadef_tag",
            "add_metadef_tag",
            "add_metadef_tags",
            "delete_metadef_tag",
            "delete_metadef_tags",
        )
    ),
)

RULES = (*BASE, *IMAGES, *METADEFS)
