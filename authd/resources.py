"""Every kind of resource of the Identity API: what is in this list is served."""

from __future__ import annotations

from authd.api.auth import Auth
from authd.api.credentials import Credentials, Ec2Credentials
from authd.api.domains import Domains
from authd.api.projects import Projects
from authd.api.roles import Roles
from authd.api.users import Users

RESOURCES = (Auth, Domains, Projects, Users, Roles, Credentials, Ec2Credentials)
