"""Sessions across commands: stored, refreshed, shared, ended."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

import httpx
import pytest

from medbots import config, errors
from medbots.medplum import auth, sessions
from tests.support import auth_transport as support
from tests.support.auth_transport import CLINIC, PASSWORD, TOKEN_PLANT
from tests.support.logins import ADA, CLIENT, Person, connect, files

BOTS = "fhir/R4/Bot"


@pytest.fixture
def server() -> support.AuthServer:
    """One user in one project, one client, one search that finds nothing."""
    made = support.AuthServer()
    made.resources[BOTS] = {"resourceType": "Bundle", "type": "searchset"}
    return made


@pytest.fixture
def store(tmp_path: Path) -> sessions.Sessions:
    """An empty state folder."""
    return sessions.Sessions(tmp_path)


async def sign_in(
    server: support.AuthServer, store: sessions.Sessions, environ: dict[str, str] | None = None
) -> auth.SignedIn:
    """Log in and store it."""
    settings = config.resolve({}, environ or ADA, store.profile(), {})
    return await auth.sign_in(settings, store, transport=server.transport())


def age(store: sessions.Sessions) -> None:
    """Let the stored access token have ended, by its own clock."""
    found = store.session("default")
    assert found
    ended = dataclasses.replace(found.tokens, expires_at=datetime.now(UTC) - timedelta(hours=1))
    store.store("default", dataclasses.replace(found, tokens=ended))


async def test_sign_in_then_use(server: support.AuthServer, store: sessions.Sessions) -> None:
    """A session is made for later: with a refresh token, and used without the password."""
    signed_in = await sign_in(server, store)
    assert server.bodies("auth/login")[0]["scope"] == "openid offline_access"
    assert signed_in.tokens.refresh is not None
    server.requests.clear()
    connected = await connect(server, store, {})
    assert connected.user == "ada@example.com"
    assert server.paths == ["auth/me"]


async def test_profile_points_at_the_server(
    server: support.AuthServer, store: sessions.Sessions
) -> None:
    """After a login elsewhere than the default, later commands need no URL."""
    await sign_in(server, store, {**ADA, "MEDPLUM_BASE_URL": "https://m.example.com/"})
    assert store.profile()["MEDPLUM_BASE_URL"] == "https://m.example.com/"
    assert (await connect(server, store, {})).base_url == "https://m.example.com/"
    assert {one.url.host for one in server.requests} == {"m.example.com"}


async def test_profile_of_another_server_is_emptied(
    server: support.AuthServer, store: sessions.Sessions
) -> None:
    """A profile that moves to another server takes no credentials along."""
    store.profiles.write(
        "default", {"MEDPLUM_BASE_URL": "http://127.0.0.1:1/", "MEDPLUM_PASSWORD": "plant"}
    )
    await sign_in(server, store, {**ADA, "MEDPLUM_BASE_URL": "https://m.example.com/"})
    assert dict(store.profile()) == {
        "MEDPLUM_BASE_URL": "https://m.example.com/",
        config.PROFILE: "default",
    }


async def test_profile_of_the_same_server_keeps_its_settings(
    server: support.AuthServer, store: sessions.Sessions
) -> None:
    """What else a profile holds stays, but a project that is not the login's is corrected."""
    kept = {"MEDPLUM_BASE_URL": "http://localhost:8103/", "EMBEDDING_MODEL": "mine"}
    store.profiles.write("default", {**kept, "MEDPLUM_PROJECT": "Research"})
    await sign_in(server, store, {**ADA, "MEDPLUM_PROJECT": "Clinic"})
    assert dict(store.profile()) == {
        **kept, "MEDPLUM_PROJECT": CLINIC, config.PROFILE: "default",
    }  # fmt: skip


async def test_session_is_for_one_server(
    server: support.AuthServer, store: sessions.Sessions
) -> None:
    """A session's tokens are never sent elsewhere; the error says for whom they are."""
    await sign_in(server, store)
    server.requests.clear()
    with pytest.raises(errors.NotLoggedInError, match="is for http://localhost:8103/"):
        await connect(server, store, {"MEDPLUM_BASE_URL": "https://other.example.com/"})
    assert server.requests == []


async def test_session_in_another_project(
    server: support.AuthServer, store: sessions.Sessions
) -> None:
    """Named another project, a stored session is not used and not ended either."""
    await sign_in(server, store)
    with pytest.raises(errors.NotAllowedError) as caught:
        await connect(server, store, {"MEDPLUM_PROJECT": "Research"})
    assert caught.value.hint == "medbots login --project 'Research' logs in there"
    assert (await connect(server, store, {})).project.id == CLINIC


async def test_ended_session_is_refreshed_and_kept(
    server: support.AuthServer, store: sessions.Sessions
) -> None:
    """A session that has ended is renewed by one request, and the rotated token is stored."""
    await sign_in(server, store)
    before = store.session("default")
    age(store)
    server.requests.clear()
    await connect(server, store, {})
    after = store.session("default")
    assert server.paths == ["oauth2/token", "auth/me"]
    assert "Authorization" not in server.requests[0].headers
    assert before
    assert after
    assert after.tokens.refresh != before.tokens.refresh
    assert not after.tokens.stale(datetime.now(UTC))
    age(store)
    await connect(server, store, {})


async def test_session_that_ends_in_the_middle(
    server: support.AuthServer, store: sessions.Sessions
) -> None:
    """A 401 in the middle is renewed and the request sent again; the file follows."""
    await sign_in(server, store)
    settings = config.resolve({}, {}, store.profile(), {})
    async with auth.connect(settings, store, transport=server.transport()) as client:
        server.expire_all()
        assert (await client.get(BOTS))["type"] == "searchset"
        assert client.requests == 2
    server.requests.clear()
    await connect(server, store, {})
    assert server.paths == ["auth/me"]


async def test_many_requests_meet_the_same_end(
    server: support.AuthServer, store: sessions.Sessions
) -> None:
    """Ten requests that meet one 401 each refresh once between them."""
    await sign_in(server, store)
    settings = config.resolve({}, {}, store.profile(), {})
    async with auth.connect(settings, store, transport=server.transport()) as client:
        server.expire_all()
        server.requests.clear()
        answers = await asyncio.gather(*(client.get(BOTS) for _ in range(10)))
    assert [one["type"] for one in answers] == ["searchset"] * 10
    assert server.paths.count("oauth2/token") == 1


async def test_commands_side_by_side_share_the_renewal(
    server: support.AuthServer, store: sessions.Sessions
) -> None:
    """Commands that start together do not use up each other's refresh token."""
    await sign_in(server, store)
    age(store)
    server.requests.clear()
    all_of_them = await asyncio.gather(*(connect(server, store, {}) for _ in range(5)))
    assert {one.user for one in all_of_them} == {"ada@example.com"}
    assert server.paths.count("oauth2/token") == 1


async def test_session_that_another_command_renewed(
    server: support.AuthServer, store: sessions.Sessions
) -> None:
    """A client whose token was overtaken reads the file, and leaves the refresh token alone."""
    await sign_in(server, store)
    settings = config.resolve({}, {}, store.profile(), {})
    async with auth.connect(settings, store, transport=server.transport()) as client:
        server.expire_all()
        age(store)
        await connect(server, store, {})
        server.requests.clear()
        await client.get(BOTS)
    assert server.paths == [BOTS, BOTS]


async def test_revoked_session(server: support.AuthServer, store: sessions.Sessions) -> None:
    """A session that an administrator ended asks for a login, by exit 4."""
    await sign_in(server, store)
    server.revoke_all()
    with pytest.raises(errors.NotLoggedInError, match="Token revoked") as caught:
        await connect(server, store, {})
    assert caught.value.hint == "medbots login"
    assert TOKEN_PLANT not in caught.value.message


async def test_revoked_in_the_middle_with_a_password_at_hand(
    server: support.AuthServer, store: sessions.Sessions
) -> None:
    """With credentials in the environment, the work goes on after a new login."""
    for environ in (ADA, CLIENT):
        settings = config.resolve({}, environ, {}, {})
        async with auth.connect(settings, store, transport=server.transport()) as client:
            server.revoke_all()
            assert (await client.get(BOTS))["type"] == "searchset"


async def test_token_about_to_end_is_renewed_before_it_is_used(
    server: support.AuthServer, store: sessions.Sessions
) -> None:
    """A token within its last seconds is not tried first."""
    server.expires_in = 10
    settings = config.resolve({}, ADA, {}, {})
    async with auth.connect(settings, store, transport=server.transport()) as client:
        server.expires_in = 3600
        server.requests.clear()
        await client.get(BOTS)
    assert server.paths == ["auth/login", "oauth2/token", BOTS]


async def test_refused_again_after_renewal(
    server: support.AuthServer, store: sessions.Sessions
) -> None:
    """Two refusals are one error, not a loop."""
    settings = config.resolve({}, ADA, {}, {})
    async with auth.connect(settings, store, transport=server.transport()) as client:
        server.scripted[BOTS] = [httpx.Response(401, json={}) for _ in range(3)]
        with pytest.raises(errors.NotLoggedInError):
            await client.get(BOTS)
    assert len(server.scripted[BOTS]) == 1


@pytest.mark.parametrize("kind", ["client", "super admin"])
async def test_session_without_refresh_token(
    server: support.AuthServer, store: sessions.Sessions, kind: str
) -> None:
    """A client's and a super admin's session ends after its hour, and says why."""
    server.users["ada@example.com"].super_admin = True
    await sign_in(server, store, CLIENT if kind == "client" else ADA)
    await connect(server, store, {})
    age(store)
    with pytest.raises(errors.NotLoggedInError, match="has ended") as caught:
        await connect(server, store, {})
    assert "cannot be prolonged" in (caught.value.hint or "")


async def test_mfa_user_with_a_stored_session(
    server: support.AuthServer, store: sessions.Sessions
) -> None:
    """With a password in the environment and MFA on, the session of `login` serves."""
    server.users["ada@example.com"].mfa = "123456"
    settings = config.resolve({}, ADA, store.profile(), {})
    await auth.sign_in(settings, store, transport=server.transport(), prompts=Person("123456"))
    assert (await connect(server, store, ADA)).user == "ada@example.com"
    server.users["eve@example.com"] = support.User(
        [support.membership(5, CLINIC, "Clinic")], mfa="1"
    )
    with pytest.raises(errors.NotLoggedInError, match=r"eve@example\.com needs"):
        await connect(server, store, {**ADA, "MEDPLUM_EMAIL": "eve@example.com"})


async def test_sign_in_with_nothing(server: support.AuthServer, store: sessions.Sessions) -> None:
    """There must be something to log in with; a stored session is not it."""
    await sign_in(server, store)
    with pytest.raises(errors.UsageError, match="nothing to log in with"):
        await sign_in(server, store, {"MEDPLUM_EMAIL": "ada@example.com"})


def fill_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on nothing more is written."""

    def full(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)


async def test_disk_full_at_login(
    server: support.AuthServer, store: sessions.Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session that cannot be stored is given back, and what stood there stands."""
    await sign_in(server, store)
    before = store.session("default")
    fill_the_disk(monkeypatch)
    with pytest.raises(errors.StorageError, match="no space left"):
        await sign_in(server, store)
    assert store.session("default") == before
    assert server.paths[-1] == "oauth2/logout"
    assert [one.revoked for one in server.logins.values()] == [False, True]


async def test_disk_full_at_refresh(
    server: support.AuthServer, store: sessions.Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refresh token is not used up when its successor could not be kept."""
    await sign_in(server, store)
    age(store)
    server.requests.clear()
    with monkeypatch.context() as full:
        fill_the_disk(full)
        with pytest.raises(errors.StorageError, match="no space left"):
            await connect(server, store, {})
    assert server.requests == []
    assert (await connect(server, store, {})).user == "ada@example.com"


async def sign_out(server: support.AuthServer, store: sessions.Sessions) -> sessions.Session | None:
    """Log out."""
    settings = config.resolve({}, {}, store.profile(), {})
    return await auth.sign_out(settings, store, transport=server.transport())


async def test_sign_out_ends_it_here_and_there(
    server: support.AuthServer, store: sessions.Sessions
) -> None:
    """The server forgets the login, the file is gone, and a second time there is nothing."""
    await sign_in(server, store)
    ended = await sign_out(server, store)
    assert ended
    assert ended.user == "ada@example.com"
    assert [one.revoked for one in server.logins.values()] == [True]
    assert not store.path("default").exists()
    server.requests.clear()
    assert await sign_out(server, store) is None
    assert server.requests == []


async def test_sign_out_of_an_ended_session(
    server: support.AuthServer, store: sessions.Sessions
) -> None:
    """Its refresh token is still alive: it is traded, so that the login can be revoked."""
    await sign_in(server, store)
    age(store)
    server.expire_all()
    await sign_out(server, store)
    assert [one.revoked for one in server.logins.values()] == [True]


async def test_sign_out_of_a_revoked_session(
    server: support.AuthServer, store: sessions.Sessions
) -> None:
    """What the server has forgotten already needs no more than deleting the file."""
    await sign_in(server, store)
    server.revoke_all()
    assert await sign_out(server, store)
    await sign_in(server, store)
    server.revoke_all()
    age(store)
    assert await sign_out(server, store)
    assert not store.path("default").exists()


async def test_sign_out_while_the_server_is_down(
    server: support.AuthServer, store: sessions.Sessions
) -> None:
    """The file goes, and that the token lives on is said, with exit 5."""
    await sign_in(server, store)
    server.scripted["oauth2/logout"] = [httpx.ReadTimeout("x")]
    with pytest.raises(errors.UnreachableError, match="token stays valid until 20") as caught:
        await sign_out(server, store)
    assert caught.value.exit_code == 5
    assert not store.path("default").exists()


async def test_sign_out_of_a_damaged_session(
    server: support.AuthServer, store: sessions.Sessions
) -> None:
    """A file that cannot be read is deleted."""
    (await sign_in(server, store)).file.write_text("{")
    assert await sign_out(server, store) is None
    assert not store.path("default").exists()


async def test_files_hold_no_password(
    server: support.AuthServer, store: sessions.Sessions, tmp_path: Path
) -> None:
    """Neither password nor client secret is written down; tokens stand in one private file."""
    await sign_in(server, store)
    await sign_in(server, store, CLIENT)
    written = files(tmp_path)
    text = "".join(path.read_text() for path in written)
    assert PASSWORD not in text
    assert support.CLIENT_SECRET not in text
    assert [path.name for path in written if TOKEN_PLANT in path.read_text()] == ["default.json"]
    assert {path.stat().st_mode & 0o777 for path in written} == {0o600}
