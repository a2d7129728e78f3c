"""The extensions of the Networking API that are built: alias, name and what they add. Pure.

The list tells the truth: clients ask it what they may use, so what is half there is not in it (docs/conformance-network.md).
"""

from __future__ import annotations

from typing import Any

UPDATED = "2026-11-22T00:00:00-00:00"
EXTENSIONS: dict[str, tuple[str, str]] = {
    "address-group": ("Address group", "Groups of addresses that rules may name"),
    "agent": ("agent", "Agents of hosts, whether they are alive, and closing them"),
    "allowed-address-pairs": ("Allowed Address Pairs", "Further sources that a port may use"),
    "auto-allocated-topology": ("Auto Allocated Topology Services", "A network on demand"),
    "availability_zone": ("Availability Zone", "The one availability zone"),
    "binding": ("Port Binding", "Ports are bound to hosts"),
    "default-subnetpools": ("Default Subnetpools", "Subnets are cut from the default pool"),
    "dns-integration": ("DNS Integration", "Names of ports"),
    "empty-string-filtering": ("Empty String Filtering Extension", "Filters for what is empty"),
    "expose-port-forwarding-in-fip": (
        "Expose Port Forwarding in Floating IP",
        "Forwarded ports are shown with their floating IP",
    ),
    "ext-gw-mode": ("Neutron L3 Configurable external gateway mode", "SNAT can be turned off"),
    "external-net": ("Neutron external network", "Networks outside of the cloud"),
    "extra_dhcp_opt": ("Neutron Extra DHCP options", "DHCP options of a port"),
    "extraroute": ("Neutron Extra Route", "Static routes of routers"),
    "extraroute-atomic": ("Atomically add/remove extra routes", "Static routes one by one"),
    "filter-validation": ("Filter parameters validation", "Unknown filters are refused"),
    "fip-port-details": ("Floating IP Port Details Extension", "What a floating IP points at"),
    "floating-ip-port-forwarding": ("Floating IP Port Forwarding", "Ports of a floating IP"),
    "floating-ip-port-forwarding-description": (
        "Floating IP Port Forwarding new attribute description",
        "Forwarded ports are described",
    ),
    "floating-ip-port-forwarding-port-ranges": (
        "Floating IP Port Forwarding support port ranges",
        "Ranges of ports are forwarded",
    ),
    "ip-substring-filtering": ("IP address substring filtering", "Ports by a part of an address"),
    "l3_agent_scheduler": ("L3 Agent Scheduler", "Which host a router lives on"),
    "net-mtu": ("Network MTU", "The MTU of networks is shown"),
    "net-mtu-writable": ("Network MTU (writable)", "The MTU of networks can be chosen"),
    "network-ip-availability": ("Network IP Availability", "Addresses used and left"),
    "network_availability_zone": ("Network Availability Zone", "Zones of networks"),
    "pagination": ("Pagination support", "Lists come in pages"),
    "port-mac-address-regenerate": ("Neutron Port MAC address regenerate", "A new MAC for a port"),
    "port-security": ("Port Security", "Ports without protection"),
    "project-id": ("project_id field enabled", "Owners are called project_id"),
    "provider": ("Provider Network", "What a network is made of"),
    "quota-check-limit": ("Quota engine limit check", "A limit below usage can be refused"),
    "quota_details": ("Quota details management support", "Limits with usage"),
    "quotas": ("Quota management support", "Limits of projects"),
    "revision-if-match": ("If-Match constraints based on revision_number", "Conditional changes"),
    "router": ("Neutron L3 Router", "Routers and floating IPs"),
    "router_availability_zone": ("Router Availability Zone", "Zones of routers"),
    "security-group": ("security-group", "Security groups and rules"),
    "security-groups-normalized-cidr": ("Normalized CIDR field", "Prefixes without host bits"),
    "security-groups-remote-address-group": (
        "Remote address group id field",
        "Rules name groups of addresses",
    ),
    "security-groups-rules-belongs-to-default-sg": (
        "Security group rule belongs to the project's default security group",
        "Rules say so",
    ),
    "service-type": ("Neutron Service Type Management", "Providers of services"),
    "sorting": ("Sorting support", "Lists are sorted"),
    "standard-attr-description": ("standard-attr-description", "Everything is described"),
    "standard-attr-revisions": ("Resource revision numbers", "Everything counts its changes"),
    "standard-attr-tag": ("Tag support for resources with standard attribute", "Tags"),
    "standard-attr-timestamp": ("Resource timestamps", "Times of creation and change"),
    "stateful-security-group": ("Stateful security group", "Stateless groups"),
    "subnet-external-network": (
        "Subnet belongs to an external network",
        "Subnets say whether they are outside",
    ),
    "subnet-service-types": ("Subnet service types", "Subnets for some ports"),
    "subnet_allocation": ("Subnet Allocation", "Subnet pools"),
    "subnetpool-prefix-ops": ("Subnet Pool Prefix Operations", "Prefixes one by one"),
    "tag-creation": ("Tag creation extension", "Tags in the request that makes something"),
    "tag-ports-during-bulk-creation": ("Tag Ports During Bulk Creation", "The same of many ports"),
}


def shown(alias: str) -> dict[str, Any]:
    """An extension as the API shows it."""
    name, description = EXTENSIONS[alias]
    return {
        "alias": alias,
        "name": name,
        "description": description,
        "updated": UPDATED,
        "links": [],
    }
