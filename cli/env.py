"""`ringstack env`: the root credentials of this cloud, in the form each tool reads."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import click

from cli.options import data_option
from core.installation import Installation, host_of, identity_url


def variables(installation: Installation) -> dict[str, str]:
    """Environment variables of the OpenStack, S3 and Swift clients."""
    config, secrets = installation.config(), installation.secrets()
    url = f"http://{host_of(config)}:{config.object_port}"
    project, _, user = secrets.user.partition(":")
    return {
        "OS_AUTH_URL": f"{identity_url(config)}/v3",
        "OS_IDENTITY_API_VERSION": "3",
        "OS_USERNAME": user,
        "OS_PASSWORD": secrets.key,
        "OS_PROJECT_NAME": project,
        "OS_USER_DOMAIN_ID": "default",
        "OS_PROJECT_DOMAIN_ID": "default",
        "OS_REGION_NAME": config.region,
        "AWS_ACCESS_KEY_ID": secrets.access_key,
        "AWS_SECRET_ACCESS_KEY": secrets.secret_key,
        "AWS_DEFAULT_REGION": config.region,
        "AWS_ENDPOINT_URL": url,
        "ST_AUTH": f"{url}/auth/v1.0",
        "ST_USER": secrets.user,
        "ST_KEY": secrets.key,
        "ST_AUTH_VERSION": "1.0",
    }


def clouds_yaml(values: dict[str, str], demo_password: str) -> str:
    """Clouds for openstacksdk: `ringstack` (the admin), `ringstack-system` and `ringstack-demo`."""
    return "clouds:\n" + "".join(
        f"  {name}:\n"
        "    auth:\n"
        f"      auth_url: {values['OS_AUTH_URL']}\n"
        f"      username: {json.dumps(user)}\n"
        f"      password: {json.dumps(password)}\n"
        f"      user_domain_id: {values['OS_USER_DOMAIN_ID']}\n"
        f"{scope}"
        f"    region_name: {values['OS_REGION_NAME']}\n"
        "    identity_api_version: 3\n"
        for name, user, password, scope in (
            (
                "ringstack",
                values["OS_USERNAME"],
                values["OS_PASSWORD"],
                scope_of_project(values["OS_PROJECT_NAME"]),
            ),
            (
                "ringstack-system",
                values["OS_USERNAME"],
                values["OS_PASSWORD"],
                "      system_scope: all\n",
            ),
            ("ringstack-demo", "demo", demo_password, scope_of_project("demo")),
        )
    )


def scope_of_project(name: str) -> str:
    """Lines that scope a cloud to a project of the default domain."""
    return f"      project_name: {json.dumps(name)}\n      project_domain_id: default\n"


@click.command()
@data_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["sh", "clouds.yaml", "json"]),
    default="sh",
    show_default=True,
)
def env(data: Path, *, form: str) -> None:
    """Credentials of this cloud for the usual tools."""
    installation = Installation(data)
    values = variables(installation)
    if form == "json":
        click.echo(json.dumps(values, indent=2))
    elif form == "clouds.yaml":
        secrets = installation.secrets()
        click.echo(clouds_yaml(values, secrets.demo_key or secrets.key), nl=False)
    else:
        for name, value in values.items():
            click.echo(f"export {name}={shlex.quote(value)}")
