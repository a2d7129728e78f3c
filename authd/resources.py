"""Every kind of resource of the Identity API: what is in this list is served."""

from __future__ import annotations

from authd.api.application_credentials import AccessRules, ApplicationCredentials
from authd.api.assignments import RoleAssignments
from authd.api.auth import Auth
from authd.api.credentials import Credentials, Ec2Credentials
from authd.api.domain_options import DomainOptions
from authd.api.domains import Domains
from authd.api.endpoint_filters import EndpointGroups, ProjectEndpoints
from authd.api.endpoints import Endpoints
from authd.api.federation import FederatedLogin, IdentityProviders, Mappings, ServiceProviders
from authd.api.grants import Grants
from authd.api.groups import Groups
from authd.api.inferences import Inferences
from authd.api.limits import Limits, RegisteredLimits
from authd.api.oauth2 import OAuth2
from authd.api.policies import EndpointPolicies, Policies
from authd.api.projects import Projects
from authd.api.regions import Regions
from authd.api.roles import Roles
from authd.api.services import Services
from authd.api.signatures import Signatures
from authd.api.tags import Tags
from authd.api.trusts import Trusts
from authd.api.users import Users

RESOURCES = (
    Auth,
    Domains,
    Projects,
    Users,
    Groups,
    Roles,
    Inferences,
    Grants,
    RoleAssignments,
    Credentials,
    Ec2Credentials,
    ApplicationCredentials,
    AccessRules,
    Signatures,
    IdentityProviders,
    Mappings,
    ServiceProviders,
    FederatedLogin,
    OAuth2,
    Trusts,
    Regions,
    Services,
    Endpoints,
    EndpointGroups,
    ProjectEndpoints,
    EndpointPolicies,
    Policies,
    Limits,
    RegisteredLimits,
    Tags,
    DomainOptions,
)
