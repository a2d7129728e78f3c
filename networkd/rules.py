"""The policy rules of the Networking API with their documented defaults.

Names and meaning are those of Neutron's policy reference, so that overrides written for it hold here: rules of operations
(`create_network`), of attributes (`create_network:shared`) and of parts of attributes
(`create_port:fixed_ips:ip_address`). `field:networks:shared=True` compares an attribute of what is acted on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from oslo_policy import policy as oslo

from core.policy import Rule

ADMIN = "rule:admin_only"
MEMBER = "(rule:admin_only) or (role:member and project_id:%(project_id)s)"
MANAGER = "(rule:admin_only) or (role:manager and project_id:%(project_id)s)"
READER = "(rule:admin_only) or (role:reader and project_id:%(project_id)s)"
SERVICE = "(rule:admin_only) or (rule:service_api)"
NET_MEMBER = "(role:member and rule:network_owner)"
NET_MANAGER = "(role:manager and rule:network_owner)"
NET_READER = "(role:reader and rule:network_owner)"
GROUP_MEMBER = "(rule:admin_only) or (role:member and rule:sg_owner)"
GROUP_READER = "(rule:admin_only) or (role:reader and rule:sg_owner)"
PARENT_MEMBER = "(rule:admin_only) or (role:member and rule:ext_parent_owner)"
PARENT_READER = "(rule:admin_only) or (role:reader and rule:ext_parent_owner)"


class FieldCheck(oslo.Check):
    """`field:RESOURCE:ATTRIBUTE=VALUE` and `=~PATTERN`, about an attribute of the target (Neutron's own kind of check)."""

    def __call__(
        self, target: Mapping[str, Any], creds: Mapping[str, Any], *others: object, **more: object
    ) -> bool:
        """Whether it holds."""
        del creds, others, more
        _, _, comparison = self.match.partition(":")
        name, _, wanted = comparison.rpartition("=")
        value = target.get(name)
        if value is None:
            return False
        if wanted.startswith("~"):
            return re.match(wanted[1:], str(value)) is not None
        return str(value) == wanted


oslo.register("field", FieldCheck)

BASE = (
    Rule("context_is_admin", "role:admin"),
    Rule("service_api", "role:service"),
    Rule("admin_only", "rule:context_is_admin"),
    Rule("owner", "project_id:%(project_id)s"),
    Rule("admin_or_owner", "rule:context_is_admin or rule:owner"),
    Rule("network_owner", "project_id:%(network:project_id)s"),
    Rule("admin_or_network_owner", "rule:context_is_admin or rule:network_owner"),
    Rule("admin_owner_or_network_owner", "rule:owner or rule:admin_or_network_owner"),
    Rule("ext_parent_owner", "project_id:%(ext_parent:project_id)s"),
    Rule("admin_or_ext_parent_owner", "rule:context_is_admin or rule:ext_parent_owner"),
    Rule("sg_owner", "project_id:%(security_group:project_id)s"),
    Rule("regular_user", ""),
    Rule("shared", "field:networks:shared=True"),
    Rule("external", "field:networks:router:external=True"),
    Rule("external_network", "field:subnets:router:external=True"),
    Rule("shared_subnetpools", "field:subnetpools:shared=True"),
    Rule("shared_address_groups", "field:address_groups:shared=True"),
    Rule("shared_security_group", "field:security_groups:shared=True"),
    Rule("network_device", "field:port:device_owner=~^network:"),
)

PROVIDER = ("network_type", "physical_network", "segmentation_id")

NETWORKS = (
    Rule("create_network", MEMBER),
    Rule("create_network:shared", ADMIN),
    Rule("create_network:router:external", ADMIN),
    Rule("create_network:is_default", ADMIN),
    Rule("create_network:port_security_enabled", MEMBER),
    *(Rule(f"create_network:provider:{name}", ADMIN) for name in PROVIDER),
    Rule("get_network", f"{READER} or rule:service_api or rule:shared or rule:external"),
    *(Rule(f"get_network:provider:{name}", ADMIN) for name in PROVIDER),
    Rule("update_network", MEMBER),
    Rule("update_network:shared", ADMIN),
    Rule("update_network:router:external", ADMIN),
    Rule("update_network:is_default", ADMIN),
    Rule("update_network:port_security_enabled", MEMBER),
    *(Rule(f"update_network:provider:{name}", ADMIN) for name in PROVIDER),
    Rule("delete_network", MEMBER),
    Rule("create_subnet", f"(rule:admin_only) or {NET_MEMBER}"),
    Rule("create_subnet:service_types", ADMIN),
    Rule(
        "get_subnet",
        f"{READER} or rule:shared or rule:external_network or {NET_READER} or rule:service_api",
    ),
    Rule("update_subnet", f"{MEMBER} or {NET_MEMBER}"),
    Rule("update_subnet:service_types", ADMIN),
    Rule("delete_subnet", f"{MEMBER} or {NET_MEMBER}"),
    Rule("create_subnetpool", MEMBER),
    Rule("create_subnetpool:shared", ADMIN),
    Rule("create_subnetpool:is_default", ADMIN),
    Rule("get_subnetpool", f"{READER} or rule:shared_subnetpools"),
    Rule("update_subnetpool", MEMBER),
    Rule("update_subnetpool:is_default", ADMIN),
    Rule("delete_subnetpool", MEMBER),
    Rule("add_prefixes", MEMBER),
    Rule("remove_prefixes", MEMBER),
    Rule("get_network_ip_availability", SERVICE),
    Rule("get_auto_allocated_topology", READER),
    Rule("delete_auto_allocated_topology", MEMBER),
)

PORTS = (
    Rule("create_port", f"{SERVICE} or {NET_MEMBER} or rule:shared"),
    Rule("create_port:device_id", f"{MEMBER} or rule:service_api"),
    Rule("create_port:device_owner", f"not rule:network_device or {SERVICE} or {NET_MEMBER}"),
    Rule("create_port:mac_address", f"{SERVICE} or {NET_MEMBER}"),
    Rule("create_port:fixed_ips", f"{SERVICE} or {NET_MEMBER} or rule:shared"),
    Rule("create_port:fixed_ips:ip_address", f"{SERVICE} or {NET_MEMBER}"),
    Rule("create_port:fixed_ips:subnet_id", f"{SERVICE} or {NET_MEMBER} or rule:shared"),
    Rule("create_port:port_security_enabled", f"{SERVICE} or {NET_MEMBER}"),
    Rule("create_port:binding:host_id", SERVICE),
    Rule("create_port:binding:profile", "rule:service_api"),
    Rule("create_port:binding:vnic_type", f"{MEMBER} or rule:service_api"),
    *(
        Rule(f"{verb}_port:allowed_address_pairs{part}", f"{SERVICE} or {NET_MEMBER}")
        for verb in ("create", "update")
        for part in ("", ":mac_address", ":ip_address")
    ),
    Rule("get_port", f"{SERVICE} or {NET_READER} or (role:reader and project_id:%(project_id)s)"),
    *(
        Rule(f"get_port:binding:{name}", SERVICE)
        for name in ("vif_type", "vif_details", "host_id", "profile")
    ),
    Rule("update_port", f"{MEMBER} or rule:service_api"),
    Rule("update_port:device_id", f"{MEMBER} or rule:service_api"),
    Rule("update_port:device_owner", f"not rule:network_device or {SERVICE} or {NET_MEMBER}"),
    Rule("update_port:mac_address", f"{SERVICE} or {NET_MANAGER}"),
    Rule("update_port:fixed_ips", f"{SERVICE} or {NET_MEMBER}"),
    Rule("update_port:fixed_ips:ip_address", f"{SERVICE} or {NET_MEMBER}"),
    Rule("update_port:fixed_ips:subnet_id", f"{SERVICE} or {NET_MEMBER} or rule:shared"),
    Rule("update_port:port_security_enabled", f"{SERVICE} or {NET_MEMBER}"),
    Rule("update_port:binding:host_id", SERVICE),
    Rule("update_port:binding:profile", "rule:service_api"),
    Rule("update_port:binding:vnic_type", f"{MEMBER} or rule:service_api"),
    Rule("delete_port", f"{MEMBER} or rule:service_api or {NET_MEMBER}"),
)

GATEWAY = (
    ("", MEMBER),
    (":network_id", MEMBER),
    (":enable_snat", ADMIN),
    (":external_fixed_ips", ADMIN),
)

ROUTERS = (
    Rule("create_router", MEMBER),
    Rule("create_router:distributed", ADMIN),
    Rule("create_router:ha", ADMIN),
    Rule("get_router", READER),
    Rule("get_router:distributed", ADMIN),
    Rule("get_router:ha", ADMIN),
    Rule("update_router", MEMBER),
    Rule("update_router:distributed", ADMIN),
    Rule("update_router:ha", ADMIN),
    *(
        Rule(f"{verb}_router:external_gateway_info{part}", check)
        for verb in ("create", "update")
        for part, check in GATEWAY
    ),
    Rule("delete_router", MEMBER),
    Rule("add_router_interface", MEMBER),
    Rule("remove_router_interface", MEMBER),
    Rule("add_extraroutes", MEMBER),
    Rule("remove_extraroutes", MEMBER),
    Rule("create_floatingip", MEMBER),
    Rule("create_floatingip:floating_ip_address", MANAGER),
    Rule("get_floatingip", READER),
    Rule("update_floatingip", MEMBER),
    Rule("delete_floatingip", MEMBER),
    Rule("create_floatingip_port_forwarding", PARENT_MEMBER),
    Rule("get_floatingip_port_forwarding", PARENT_READER),
    Rule("update_floatingip_port_forwarding", PARENT_MEMBER),
    Rule("delete_floatingip_port_forwarding", PARENT_MEMBER),
)

GROUPS = (
    Rule("create_security_group", MEMBER),
    Rule("get_security_group", f"{READER} or rule:shared_security_group"),
    Rule("update_security_group", MEMBER),
    Rule("delete_security_group", MEMBER),
    Rule("create_security_group_rule", GROUP_MEMBER),
    Rule("get_security_group_rule", GROUP_READER),
    Rule("delete_security_group_rule", GROUP_MEMBER),
    Rule("create_address_group", MEMBER),
    Rule("get_address_group", f"{READER} or rule:shared_address_groups"),
    Rule("update_address_group", MEMBER),
    Rule("delete_address_group", MEMBER),
    Rule("add_addresses", MEMBER),
    Rule("remove_addresses", MEMBER),
)

OTHERS = (
    Rule("get_agent", ADMIN),
    Rule("update_agent", ADMIN),
    Rule("delete_agent", ADMIN),
    Rule("create_dhcp-network", ADMIN),
    Rule("get_dhcp-networks", ADMIN),
    Rule("delete_dhcp-network", ADMIN),
    Rule("create_l3-router", ADMIN),
    Rule("get_l3-routers", ADMIN),
    Rule("delete_l3-router", ADMIN),
    Rule("get_dhcp-agents", ADMIN),
    Rule("get_l3-agents", ADMIN),
    Rule("get_quota", MANAGER),
    Rule("update_quota", ADMIN),
    Rule("delete_quota", ADMIN),
    Rule("get_availability_zone", "role:reader"),
    Rule("get_service_provider", "role:reader"),
    Rule("get_host_state", "rule:service_api"),
    Rule("report_host", "rule:service_api"),
)

TAGGED = (
    ("network", f"{READER} or rule:shared or rule:external", MEMBER),
    ("subnet", f"{READER} or rule:shared or {NET_READER}", f"{MEMBER} or {NET_MEMBER}"),
    ("subnetpool", f"{READER} or rule:shared_subnetpools", MEMBER),
    ("port", f"{READER} or {NET_READER}", f"{MEMBER} or {NET_MEMBER}"),
    ("router", READER, MEMBER),
    ("floatingip", READER, MEMBER),
    ("security_group", f"{READER} or rule:shared_security_group", MEMBER),
    ("address_group", f"{READER} or rule:shared_address_groups", MEMBER),
)
TAGS = tuple(
    Rule(f"{verb}_{kind}:tags", reading if verb == "get" else writing)
    for kind, reading, writing in TAGGED
    for verb in ("create", "get", "update", "delete")
)

RULES = (*BASE, *NETWORKS, *PORTS, *ROUTERS, *GROUPS, *OTHERS, *TAGS)
