"""Password rules and lockout, over HTTP and with a clock that moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from authd import settings
from tests.identity_site import IdentitySite, Reply

DAY_S = 86_400
Make = Callable[..., IdentitySite]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """A site with settings of the test's own."""
    made: list[IdentitySite] = []

    def build(**chosen: Any) -> IdentitySite:
        (tmp_path / "policy").mkdir()
        path = tmp_path / "policy" / settings.FILE
        path.write_bytes(msgspec.json.encode(chosen))
        made.append(IdentitySite(tmp_path))
        return made[0]

    yield build
    for site in made:
        site.close()


def change(site: IdentitySite, user: dict[str, Any], old: str, new: str) -> Reply:
    """A user's own change of password."""
    body = {"user": {"original_password": old, "password": new}}
    return site.call("POST", f"/v3/users/{user['id']}/password", body)


def shape(reply: Reply) -> tuple[int, bytes]:
    """What a stranger learns from a refusal."""
    return reply.status, reply.raw


def test_a_user_changes_their_password(make: Make) -> None:
    """With the old one; the new one logs in, the old one and tokens made with it do not."""
    site = make()
    user = site.make("user", name="u", password="first")
    token = site.login("u", "first").headers["x-subject-token"]
    assert change(site, user, "wrong", "second").status == 401
    assert change(site, user, "first", "second").status == 204
    assert site.login("u", "first").status == 401
    assert site.login("u", "second").status == 201
    assert site.call("GET", "/v3/auth/projects", token=token).status == 401
    nobody = {"id": "none"}
    assert shape(change(site, nobody, "a", "b")) == shape(change(site, user, "a", "b"))


def test_a_locked_password_is_changed_by_administrators_only(make: Make) -> None:
    """400 for its user."""
    site = make()
    user = site.make("user", name="u", password="first", options={"lock_password": True})
    assert change(site, user, "first", "second").status == 400
    path = f"/v3/users/{user['id']}"
    assert site.admin("PATCH", path, {"user": {"password": "second"}}).status == 200
    assert site.login("u", "second").status == 201


def test_too_many_wrong_passwords_lock_and_tell_nothing(make: Make) -> None:
    """Unknown, wrong and locked give the same answer; the lock passes by itself, or an administrator lifts it."""
    site = make(lockout_failure_attempts=2, lockout_duration_s=60)
    user = site.make("user", name="u", password="right")
    wrong = shape(site.login("u", "wrong"))
    assert site.login("u", "right").status == 201
    for _ in range(2):
        assert shape(site.login("u", "wrong")) == wrong
    assert shape(site.login("u", "right")) == wrong == shape(site.login("nobody", "x"))
    assert change(site, user, "right", "new").status == 401
    site.env.advance(61)
    assert site.login("u", "wrong").status == 401
    assert site.login("u", "right").status == 201
    for _ in range(2):
        site.login("u", "wrong")
    assert site.login("u", "right").status == 401
    path = f"/v3/users/{user['id']}"
    assert site.admin("PATCH", path, {"user": {"enabled": True}}).status == 200
    assert site.login("u", "right").status == 201
    free = {"options": {"ignore_lockout_failure_attempts": True}}
    assert site.admin("PATCH", path, {"user": free}).status == 200
    for _ in range(3):
        site.login("u", "wrong")
    assert site.login("u", "right").status == 201


def test_passwords_expire_and_may_then_only_be_changed(make: Make) -> None:
    """Whoever knows the expired password is told so."""
    site = make(password_expires_days=10)
    user = site.make("user", name="u", password="first")
    assert user["password_expires_at"] is not None
    other = site.make("user", name="v", password="p", options={"ignore_password_expiry": True})
    assert other["password_expires_at"] is None
    day = user["password_expires_at"]
    listed = site.admin("GET", f"/v3/users?password_expires_at=lte:{day}").body["users"]
    assert user["id"] in {one["id"] for one in listed}
    assert site.admin("GET", "/v3/users?password_expires_at=soon").status == 400
    site.env.advance(11 * DAY_S)
    refused = site.login("u", "first")
    assert refused.status == 401
    assert "expired" in refused.body["error"]["message"]
    assert "expired" not in site.login("u", "wrong").body["error"]["message"]
    assert site.login("v", "p").status == 201
    assert change(site, user, "first", "second").status == 204
    assert site.login("u", "second").status == 201


def test_the_first_password_must_be_ones_own(make: Make) -> None:
    """What an administrator set expires at once, unless the user is excepted."""
    site = make(change_password_upon_first_use=True)
    user = site.make("user", name="u", password="given")
    assert site.login("u", "given").status == 401
    assert change(site, user, "given", "chosen").status == 204
    assert site.login("u", "chosen").status == 201
    free = {"ignore_change_password_upon_first_use": True}
    site.make("user", name="v", password="given", options=free)
    assert site.login("v", "given").status == 201


def test_old_passwords_do_not_come_back(make: Make) -> None:
    """The last two are refused, older ones are not."""
    site = make(unique_last_password_count=2)
    user = site.make("user", name="u", password="one")
    assert change(site, user, "one", "one").status == 400
    assert change(site, user, "one", "two").status == 204
    assert change(site, user, "two", "one").status == 400
    assert change(site, user, "two", "three").status == 204
    assert change(site, user, "three", "one").status == 204


def test_a_password_is_kept_for_its_minimum_age(make: Make) -> None:
    """Unless an administrator set it."""
    site = make(minimum_password_age_days=2)
    user = site.make("user", name="u", password="one")
    assert change(site, user, "one", "two").status == 204
    assert change(site, user, "two", "three").status == 400
    site.env.advance(2 * DAY_S + 1)
    assert change(site, user, "two", "three").status == 204


def test_weak_passwords_are_refused_wherever_they_are_set(make: Make) -> None:
    """On creation, reset and change, with the reason that was configured."""
    site = make(password_regex=r"^(?=.*\d).{7,}$", password_regex_description="seven with a digit")
    body = {"user": {"name": "u", "password": "short"}}
    refused = site.admin("POST", "/v3/users", body)
    assert refused.status == 400
    assert "seven with a digit" in refused.body["error"]["message"]
    user = site.make("user", name="u", password="longer7")
    path = f"/v3/users/{user['id']}"
    assert site.admin("PATCH", path, {"user": {"password": "weak"}}).status == 400
    assert change(site, user, "longer7", "weak").status == 400


def test_the_inactive_count_as_disabled(make: Make) -> None:
    """Until an administrator enables them again; who logs in stays active."""
    site = make(disable_user_account_days_inactive=30)
    user = site.make("user", name="u", password="p")
    site.env.advance(20 * DAY_S)
    assert site.login("u", "p").status == 201
    site.env.advance(20 * DAY_S)
    assert site.login("u", "p").status == 201
    site.env.advance(31 * DAY_S)
    assert site.login("u", "p").status == 401
    admin = IdentitySite.login(site, "admin", "admin-secret")
    assert admin.status == 401
    free = {"user": {"enabled": True}}

    async def enable() -> None:
        from authd import users

        async with site.database.write() as db:
            row = await users.get(db, user["id"])
            await users.update(db, row, free["user"], site.authority.now_us())

    site.run(enable())
    assert site.login("u", "p").status == 201


def test_all_tokens_of_a_user_can_be_revoked(make: Make) -> None:
    """By the user or an administrator, by nobody else."""
    site = make()
    user = site.make("user", name="u", password="p")
    token = site.login("u", "p").headers["x-subject-token"]
    path = f"/v3/users/{user['id']}/tokens"
    assert site.demo("DELETE", path).status == 403
    assert site.call("DELETE", path, token=token).status == 204
    assert site.call("GET", "/v3/auth/projects", token=token).status == 401


def test_a_user_sees_their_projects(make: Make) -> None:
    """And nobody else's."""
    site = make()
    demo = site.admin("GET", "/v3/users?name=demo").body["users"][0]["id"]
    admin = site.admin("GET", "/v3/users?name=admin").body["users"][0]["id"]
    found = site.demo("GET", f"/v3/users/{demo}/projects").body["projects"]
    assert [project["name"] for project in found] == ["demo"]
    assert site.demo("GET", f"/v3/users/{admin}/projects").status == 403
    named = site.admin("GET", f"/v3/users/{admin}/projects?name=admin").body["projects"]
    assert len(named) == 1


def test_a_domain_is_nobodys_default_project(make: Make) -> None:
    """400 on creation and change."""
    site = make()
    body = {"user": {"name": "u", "default_project_id": "default"}}
    assert site.admin("POST", "/v3/users", body).status == 400
    user = site.make("user", name="u")
    body = {"user": {"default_project_id": "default"}}
    assert site.admin("PATCH", f"/v3/users/{user['id']}", body).status == 400
