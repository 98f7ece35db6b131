"""Logging in, case by case: against a server that asks and checks what the real one does."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import httpx
import pytest

from medbots import config, errors, secret
from medbots.medplum import auth, login, sessions
from tests.support import auth_transport as support
from tests.support.auth_transport import CLINIC, PASSWORD, RESEARCH
from tests.support.logins import ADA, CLIENT, Person, connect, files

BASE = "http://localhost:8103/"


@pytest.fixture
def server() -> support.AuthServer:
    """One user in one project, one client."""
    return support.AuthServer()


@pytest.fixture
def store(tmp_path: Path) -> sessions.Sessions:
    """An empty state folder."""
    return sessions.Sessions(tmp_path)


async def test_password_with_one_membership(
    server: support.AuthServer, store: sessions.Sessions
) -> None:
    """E-mail and password: three requests, and the login is known by project, user and rights."""
    connected = await connect(server, store, ADA)
    assert server.paths == ["auth/login", "oauth2/token", "auth/me"]
    assert (connected.project.id, connected.project.name) == (CLINIC, "Clinic")
    assert (connected.user, connected.rights.admin) == ("ada@example.com", True)
    assert connected.rights.super_admin is False
    assert connected.expires_at is not None
    assert connected.requests == 0


async def test_challenge_is_s256_of_a_fresh_verifier(
    server: support.AuthServer, store: sessions.Sessions
) -> None:
    """Each login proves itself by another verifier, long enough for RFC 7636."""
    await connect(server, store, ADA)
    await connect(server, store, ADA)
    asked, traded = server.bodies("auth/login"), server.bodies("oauth2/token")
    verifiers = [one["code_verifier"] for one in traded]
    assert len(set(verifiers)) == 2
    assert all(43 <= len(one) <= 128 for one in verifiers)
    digest = hashlib.sha256(verifiers[0].encode()).digest()
    expected = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert asked[0]["codeChallenge"] == expected
    assert asked[0]["codeChallengeMethod"] == "S256"


async def test_one_off_login_asks_for_no_refresh_token(
    server: support.AuthServer, store: sessions.Sessions, tmp_path: Path
) -> None:
    """A pipeline's login leaves nothing behind: no refresh token, no file."""
    await connect(server, store, ADA)
    assert server.bodies("auth/login")[0]["scope"] == "openid"
    assert files(tmp_path) == []


@pytest.fixture
def two(server: support.AuthServer) -> support.AuthServer:
    """The user works in two projects."""
    server.users["ada@example.com"].memberships = [
        support.membership(1, CLINIC, "Clinic"),
        support.membership(2, RESEARCH, "Research"),
    ]
    return server


@pytest.mark.parametrize("named", ["Research", RESEARCH, "membership-2"])
async def test_project_by_name_or_id(
    two: support.AuthServer, store: sessions.Sessions, named: str
) -> None:
    """The project is named by its name, its id, or the membership's id."""
    connected = await connect(two, store, {**ADA, "MEDPLUM_PROJECT": named})
    assert connected.project.name == "Research"


async def test_project_id_goes_into_the_login(
    two: support.AuthServer, store: sessions.Sessions
) -> None:
    """An id needs no chooser: the server takes it in the first request."""
    await connect(two, store, {**ADA, "MEDPLUM_PROJECT": RESEARCH})
    assert two.bodies("auth/login")[0]["projectId"] == RESEARCH
    assert two.paths == ["auth/login", "oauth2/token", "auth/me"]


async def test_several_memberships_and_none_named(
    two: support.AuthServer, store: sessions.Sessions
) -> None:
    """Without a choice, all are listed with what would choose them, and nothing is granted."""
    with pytest.raises(errors.NotLoggedInError) as caught:
        await connect(two, store, ADA)
    for part in ("Clinic", CLINIC, "Research", RESEARCH, "membership-2"):
        assert part in caught.value.message
    assert "MEDPLUM_PROJECT" in (caught.value.hint or "")
    assert two.paths == ["auth/login"]


async def test_person_chooses(two: support.AuthServer, store: sessions.Sessions) -> None:
    """At a terminal the choice is asked for."""
    person = Person(choice=1)
    connected = await connect(two, store, ADA, person)
    assert connected.project.name == "Research"
    assert person.shown[0].startswith(f"Clinic {CLINIC}")


@pytest.mark.parametrize("named", ["Nowhere", "99999999-9999-4999-8999-999999999999"])
async def test_unknown_project_lists_the_known(
    two: support.AuthServer, store: sessions.Sessions, named: str
) -> None:
    """A project that is not the user's is told from those that are, by name and by id."""
    with pytest.raises(errors.NotAllowedError, match=named) as caught:
        await connect(two, store, {**ADA, "MEDPLUM_PROJECT": named})
    assert "Clinic" in caught.value.message
    assert RESEARCH in caught.value.message
    assert caught.value.exit_code == 4


async def test_ambiguous_project_name(two: support.AuthServer, store: sessions.Sessions) -> None:
    """Two projects of one name are not guessed between."""
    memberships = two.users["ada@example.com"].memberships
    memberships.append(support.membership(3, "3" * 8, "Research"))
    with pytest.raises(errors.NotLoggedInError, match="'Research' fits several") as caught:
        await connect(two, store, {**ADA, "MEDPLUM_PROJECT": "Research"})
    assert "Clinic" not in caught.value.message
    assert "membership-3" in caught.value.message


@pytest.mark.parametrize("named", ["Research", RESEARCH])
async def test_only_project_is_another(
    server: support.AuthServer, store: sessions.Sessions, named: str
) -> None:
    """A login that works elsewhere is refused, and given back to the server."""
    with pytest.raises(errors.NotAllowedError, match="'Clinic'") as caught:
        await connect(server, store, {**ADA, "MEDPLUM_PROJECT": named})
    assert f"{named!r} (env MEDPLUM_PROJECT)" in caught.value.message
    assert server.paths[-1] == "oauth2/logout"
    assert all(one.revoked for one in server.logins.values() if one.granted)


async def test_super_admin_with_one_membership(
    server: support.AuthServer, store: sessions.Sessions
) -> None:
    """A super admin who means another project, and is no member of it, is told so."""
    server.users["ada@example.com"].super_admin = True
    connected = await connect(server, store, ADA)
    assert connected.rights.super_admin is True
    with pytest.raises(errors.NotAllowedError) as caught:
        await connect(server, store, {**ADA, "MEDPLUM_PROJECT": RESEARCH})
    assert "super admin" in (caught.value.hint or "")


async def test_mfa_code(server: support.AuthServer, store: sessions.Sessions) -> None:
    """The code is sent without the spaces that apps show."""
    server.users["ada@example.com"].mfa = "123456"
    await connect(server, store, ADA, Person("123 456"))
    assert server.bodies("auth/mfa/verify")[0]["token"] == "123456"


async def test_mfa_then_membership(two: support.AuthServer, store: sessions.Sessions) -> None:
    """After the code the server may still ask for the project."""
    two.users["ada@example.com"].mfa = "123456"
    connected = await connect(two, store, ADA, Person("123456", choice=1))
    assert connected.project.name == "Research"


async def test_mfa_mistyped_once(server: support.AuthServer, store: sessions.Sessions) -> None:
    """A wrong code is asked for again, within the same login."""
    server.users["ada@example.com"].mfa = "123456"
    await connect(server, store, ADA, Person("000000", "123456"))
    assert server.paths.count("auth/login") == 1


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        ([], "needs a current code"),
        (["000000"], "wrong or too old"),
        (["1", "2", "3", "123456"], "wrong or too old"),
    ],
)
async def test_mfa_without_the_right_code(
    server: support.AuthServer, store: sessions.Sessions, codes: list[str], words: str
) -> None:
    """No code, a wrong one, or three wrong ones: the hint is the flag that takes it."""
    server.users["ada@example.com"].mfa = "123456"
    with pytest.raises(errors.NotLoggedInError, match=words) as caught:
        await connect(server, store, ADA, Person(*codes))
    assert "--mfa-code" in (caught.value.hint or "")
    assert "oauth2/token" not in server.paths


async def test_forced_enrolment(server: support.AuthServer, store: sessions.Sessions) -> None:
    """Who must enrol first is told how, and the secret of the QR code is not shown."""
    server.users["ada@example.com"].must_enrol = True
    with pytest.raises(errors.NotLoggedInError, match="set up multi-factor") as caught:
        await connect(server, store, ADA)
    assert "Medplum app" in (caught.value.hint or "")
    assert "ENROLPLANT" not in caught.value.message + (caught.value.hint or "")


@pytest.mark.parametrize(
    ("email", "password", "words", "hint"),
    [
        (
            "ada@example.com",
            "wrong-horse-9",
            r"the password \(env MEDPLUM_PASSWORD\) is wrong",
            "medbots login",
        ),
        ("eve@example.com", PASSWORD, "no such user", "check the e-mail"),
        ("ada@example.com", "medplum", "fewer than 8 characters", "medplum_admin"),
        ("ada", PASSWORD, "no e-mail address", "MEDPLUM_CLIENT_ID"),
    ],
)
async def test_refused_user(
    server: support.AuthServer,
    store: sessions.Sessions,
    email: str,
    password: str,
    words: str,
    hint: str,
) -> None:
    """Each refusal, all of them 400 on the wire, has its own words and is exit 4."""
    environ = {"MEDPLUM_EMAIL": email, "MEDPLUM_PASSWORD": password}
    with pytest.raises(errors.NotLoggedInError, match=words) as caught:
        await connect(server, store, environ)
    assert caught.value.message.startswith(f"{BASE} does not accept {email}: ")
    assert hint in (caught.value.hint or "")
    assert caught.value.exit_code == 4
    assert password not in caught.value.message


@pytest.mark.parametrize(
    ("environ", "profile", "told", "hint"),
    [
        (
            {"MEDPLUM_PASSWORD": "wrong-one"},
            {},
            "the password (env MEDPLUM_PASSWORD) is wrong",
            "set MEDPLUM_PASSWORD to the right one, or unset it and use medbots login",
        ),
        (
            {"MEDPLUM_PASSWORD": "seven77"},
            {},
            "fewer than 8 characters (env MEDPLUM_PASSWORD)",
            "set MEDPLUM_PASSWORD to the right one",
        ),
        (
            {"MEDPLUM_EMAIL": "nobody@example.com", "MEDPLUM_PASSWORD": "wrong-one"},
            {},
            "there is no such user (env MEDPLUM_EMAIL)",
            "check the e-mail address",
        ),
        (
            {},
            {"MEDPLUM_PASSWORD": "wrong-one"},
            "the password (profile default) is wrong",
            "profile default holds it",
        ),
        (
            {"MEDPLUM_CLIENT_ID": "client-1", "MEDPLUM_CLIENT_SECRET": "plant"},
            {},
            "(env MEDPLUM_CLIENT_ID, env MEDPLUM_CLIENT_SECRET)",
            "check MEDPLUM_CLIENT_ID and MEDPLUM_CLIENT_SECRET",
        ),
    ],
    ids=["password", "short", "email", "profile", "client"],
)
async def test_a_refused_setting_is_told_by_its_source(
    server: support.AuthServer,
    store: sessions.Sessions,
    environ: dict[str, str],
    profile: dict[str, str],
    told: str,
    hint: str,
) -> None:
    """Who did not type it learns which variable or profile holds it, and never what it is."""
    whole = {"MEDPLUM_EMAIL": ADA["MEDPLUM_EMAIL"], **profile}
    settings = config.resolve({}, {"MEDPLUM_BASE_URL": BASE, **environ}, whole, {})
    with pytest.raises(errors.NotLoggedInError) as caught:
        async with auth.connect(settings, store, transport=server.transport()):
            pass
    assert told in caught.value.message
    assert hint in (caught.value.hint or "")
    for value in ("wrong-one", "seven77", "plant"):
        assert value not in caught.value.message + str(caught.value.hint)


@pytest.mark.parametrize("password", ["medplum_admin", "medplum"])
async def test_seeded_password_stays_at_home(
    server: support.AuthServer, store: sessions.Sessions, password: str
) -> None:
    """The password that every fresh server has is never sent to another host."""
    environ = {**ADA, "MEDPLUM_PASSWORD": password}
    environ["MEDPLUM_BASE_URL"] = "https://m.example.com/"
    with pytest.raises(errors.NotAllowedError, match=r"m\.example\.com") as caught:
        await connect(server, store, environ)
    assert server.requests == []
    assert password not in caught.value.message
    server.users["ada@example.com"].password = "medplum_admin"
    await connect(server, store, {**ADA, "MEDPLUM_PASSWORD": "medplum_admin"})


async def test_client_credentials(server: support.AuthServer, store: sessions.Sessions) -> None:
    """A client logs in by form, is no admin, and is shown by its reference."""
    connected = await connect(server, store, CLIENT)
    assert server.bodies("oauth2/token")[0]["grant_type"] == "client_credentials"
    assert (connected.user, connected.rights.admin) == ("ClientApplication/client-1", False)
    assert "Authorization" not in server.requests[0].headers


@pytest.mark.parametrize(
    "changed", [{"MEDPLUM_CLIENT_ID": "x"}, {"MEDPLUM_CLIENT_SECRET": "plant"}]
)
async def test_refused_client(
    server: support.AuthServer, store: sessions.Sessions, changed: dict[str, str]
) -> None:
    """A wrong client or secret is told by the client's id, not by its secret."""
    with pytest.raises(errors.NotLoggedInError, match="does not accept the client") as caught:
        await connect(server, store, {**CLIENT, **changed})
    assert "plant" not in caught.value.message


async def test_client_of_another_project(
    server: support.AuthServer, store: sessions.Sessions
) -> None:
    """A client works in its own project; named another, it is refused."""
    with pytest.raises(errors.NotAllowedError) as caught:
        await connect(server, store, {**CLIENT, "MEDPLUM_PROJECT": "Research"})
    assert "its own project only" in (caught.value.hint or "")


async def test_access_token(server: support.AuthServer, store: sessions.Sessions) -> None:
    """A token from elsewhere is used as it is."""
    given = (await connect(server, store, ADA)).tokens.access.reveal()
    server.requests.clear()
    connected = await connect(server, store, {"MEDPLUM_ACCESS_TOKEN": given})
    assert connected.user == "ada@example.com"
    assert server.paths == ["auth/me"]


async def test_refused_access_token(server: support.AuthServer, store: sessions.Sessions) -> None:
    """A token that is not accepted is named by its variable, and not shown."""
    with pytest.raises(errors.NotLoggedInError, match="env MEDPLUM_ACCESS_TOKEN") as caught:
        await connect(server, store, {"MEDPLUM_ACCESS_TOKEN": "plant-1234"})
    assert "plant-1234" not in caught.value.message


async def test_order_of_credentials(server: support.AuthServer, store: sessions.Sessions) -> None:
    """Token before client, client before user."""
    token = {"MEDPLUM_ACCESS_TOKEN": "unknown"}
    with pytest.raises(errors.NotLoggedInError, match="access token"):
        await connect(server, store, {**ADA, **CLIENT, **token})
    assert (await connect(server, store, {**ADA, **CLIENT})).user == "ClientApplication/client-1"


async def test_nothing_to_log_in_with(server: support.AuthServer, store: sessions.Sessions) -> None:
    """Without anything no request is sent, and both ways are named."""
    with pytest.raises(errors.NotLoggedInError, match=BASE) as caught:
        await connect(server, store, {})
    assert "medbots login" in (caught.value.hint or "")
    assert "MEDPLUM_CLIENT_ID" in (caught.value.hint or "")
    assert server.requests == []


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"MEDPLUM_EMAIL": "a@b.c"}, "MEDPLUM_EMAIL is set but MEDPLUM_PASSWORD is not"),
        ({"MEDPLUM_PASSWORD": "plant-1234"}, "MEDPLUM_PASSWORD is set but MEDPLUM_EMAIL is not"),
        ({"MEDPLUM_CLIENT_ID": "x"}, "MEDPLUM_CLIENT_ID is set but MEDPLUM_CLIENT_SECRET is not"),
    ],
)
async def test_half_of_a_login(
    server: support.AuthServer, store: sessions.Sessions, environ: dict[str, str], words: str
) -> None:
    """A missing half is named, which is what a pipeline's author needs to know."""
    with pytest.raises(errors.NotLoggedInError, match=words) as caught:
        await connect(server, store, environ)
    assert "plant-1234" not in caught.value.message
    assert caught.value.hint == f"medbots login, or set {words.split()[-3]} too"


async def test_rate_limited_login(server: support.AuthServer, store: sessions.Sessions) -> None:
    """A login that is limited for longer than patience is told to wait."""
    server.scripted["auth/login"] = [httpx.Response(429, headers={"Retry-After": "900"})]
    with pytest.raises(errors.ServerError, match="too many requests"):
        await connect(server, store, ADA)


@pytest.mark.parametrize(
    ("path", "answer", "kind"),
    [
        ("auth/login", httpx.Response(200, json={"login": "x"}), errors.ServerError),
        ("auth/login", httpx.Response(200, json=[]), errors.ServerError),
        ("auth/login", httpx.Response(200, json={"memberships": [{}]}), errors.ServerError),
        ("auth/login", httpx.Response(200, json=support.outcome("No")), errors.NotLoggedInError),
        ("auth/login", httpx.Response(500, json={"msg": "Internal"}), errors.ServerError),
        ("auth/login", httpx.Response(200, html="<p>app</p>"), errors.UnreachableError),
        ("oauth2/token", httpx.Response(200, json={}), errors.ServerError),
        ("oauth2/token", httpx.Response(400, json={"error": "x"}), errors.NotLoggedInError),
        ("oauth2/token", httpx.Response(500, json={}), errors.ServerError),
        ("auth/me", httpx.Response(200, json={}), errors.ServerError),
        ("auth/me", httpx.Response(200, json=support.outcome("No")), errors.ServerError),
        ("auth/me", httpx.Response(403, json={}), errors.NotAllowedError),
    ],
)
async def test_answers_out_of_the_ordinary(
    server: support.AuthServer,
    store: sessions.Sessions,
    path: str,
    answer: httpx.Response,
    kind: type[errors.MedbotsError],
) -> None:
    """Whatever a server answers, it is a clear error and never a crash."""
    server.scripted[path] = [answer]
    with pytest.raises(kind) as caught:
        await connect(server, store, ADA)
    assert type(caught.value) is kind
    assert PASSWORD not in caught.value.message


async def test_password_is_sent_once_and_nowhere_else(
    server: support.AuthServer, store: sessions.Sessions
) -> None:
    """The password stands in the body of one request, in no URL and in no header."""
    await connect(server, store, ADA)
    with_it = [one.url.path for one in server.requests if PASSWORD.encode() in one.content]
    assert with_it == ["/auth/login"]
    for one in server.requests:
        assert PASSWORD not in f"{one.url}{one.headers}"
        assert support.TOKEN_PLANT not in str(one.url)


def test_secrets_have_no_repr() -> None:
    """A user's password is not in the repr of what carries it."""
    assert PASSWORD not in repr(login.Password("a", secret.Secret(PASSWORD)))
