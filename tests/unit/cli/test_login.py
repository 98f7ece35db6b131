"""`login`, `logout` and `whoami` as a person and as a pipeline type them."""

from __future__ import annotations

import io
import json
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import respx
import typer

from medbots import __main__ as boundary
from medbots import config
from medbots.medplum import sessions
from tests.support import auth_transport as support
from tests.support.auth_transport import CLIENT_SECRET, CLINIC, PASSWORD, RESEARCH, TOKEN_PLANT
from tests.support.logins import ADA, files

PLANTS = (PASSWORD, CLIENT_SECRET, TOKEN_PLANT, "code_verifier", "code-login")


class Terminal:
    """Runs command lines, and looks at all they print for secrets."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        self._monkeypatch = monkeypatch
        self.out = ""
        self.err = ""
        self.asked: list[str] = []

    def run(self, *args: str, stdin: str = "", answers: list[str] | None = None) -> int:
        """Run; with answers there is a terminal, and prompts get them one after the other."""
        source = io.StringIO(stdin)
        source.isatty = lambda: answers is not None  # type: ignore[method-assign]
        self._monkeypatch.setattr("sys.stdin", source)
        left = list(answers or ())
        self.asked = []

        def prompt(text: str, **options: object) -> str:
            assert options["err"] is True
            hidden = " (hidden)" if options.get("hide_input") else ""
            self.asked.append(text + hidden)
            return left.pop(0)

        self._monkeypatch.setattr(typer, "prompt", prompt)
        code = boundary.run(args)
        self.out, self.err = self._capsys.readouterr()
        for plant in PLANTS:
            assert plant not in self.out + self.err
        assert left == []
        return code

    @property
    def json(self) -> dict[str, object]:
        """The one document on stdout."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


@pytest.fixture
def server() -> Iterator[support.AuthServer]:
    """A Medplum wherever a request goes."""
    made = support.AuthServer()
    with respx.mock(assert_all_called=False) as router:
        router.route().mock(side_effect=made.handle)
        yield made


@pytest.fixture
def terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Terminal:
    """A shell with an empty state folder and no settings."""
    for variable in (*config.VARIABLES.values(), config.PROFILE, "MEDBOTS_LOG"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("CI", "")
    monkeypatch.setenv("MEDBOTS_STATE_DIR", str(tmp_path))
    return Terminal(capsys, monkeypatch)


def test_login_whoami_logout(
    terminal: Terminal, server: support.AuthServer, tmp_path: Path
) -> None:
    """The whole round: a password on stdin, a session in one private file, and its end."""
    args = ("login", "--email", "ada@example.com", "--password-stdin")
    assert terminal.run(*args, stdin=PASSWORD + "\n") == 0
    file = tmp_path / "sessions" / "default.json"
    assert str(file) in terminal.err
    assert "project Clinic" in terminal.err
    assert terminal.out == ""
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert terminal.run("whoami") == 0
    assert terminal.out.splitlines()[:4] == [
        "server   http://localhost:8103/",
        f"project  Clinic ({CLINIC})",
        "user     ada@example.com",
        "rights   project admin",
    ]
    assert terminal.run("logout") == 0
    assert not file.exists()
    assert [one.revoked for one in server.logins.values()] == [True]
    assert terminal.run("logout") == 0
    assert "nothing to do" in terminal.err
    assert terminal.run("whoami") == 4


def test_whoami_as_json(
    terminal: Terminal, server: support.AuthServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The contract's shape, from the environment alone, without a file."""
    for name, value in ADA.items():
        monkeypatch.setenv(name, value)
    assert terminal.run("whoami", "--format", "json") == 0
    document = terminal.json
    assert list(document) == ["baseUrl", "project", "user", "admin", "superAdmin", "expiresAt"]
    assert document["project"] == {"id": CLINIC, "name": "Clinic"}
    assert (document["admin"], document["superAdmin"]) == (True, False)
    assert str(document["expiresAt"]).endswith("+00:00")


@pytest.mark.parametrize(
    ("admin", "super_admin", "rights"),
    [(False, False, "member"), (True, True, "project admin, super admin")],
)
def test_whoami_rights(
    terminal: Terminal,
    server: support.AuthServer,
    monkeypatch: pytest.MonkeyPatch,
    rights: str,
    *,
    admin: bool,
    super_admin: bool,
) -> None:
    """What the login may do is one line."""
    for name, value in ADA.items():
        monkeypatch.setenv(name, value)
    user = server.users["ada@example.com"]
    user.admin, user.super_admin = admin, super_admin
    assert terminal.run("whoami") == 0
    assert f"rights   {rights}\n" in terminal.out


def test_login_at_a_terminal(terminal: Terminal, server: support.AuthServer) -> None:
    """What is missing is asked for: the password hidden, the code, and the project."""
    user = server.users["ada@example.com"]
    user.mfa = "123456"
    user.memberships.append(support.membership(2, RESEARCH, "Research"))
    answers = ["ada@example.com", PASSWORD, "123456", "7", "2"]
    assert terminal.run("login", answers=answers) == 0
    assert terminal.asked == [
        "Email", "Password (hidden)", "Code of the authenticator app", "Project", "Project",
    ]  # fmt: skip
    assert f"2  Research {RESEARCH}" in terminal.err
    assert "project Research" in terminal.err


def test_login_with_code_and_project_given(terminal: Terminal, server: support.AuthServer) -> None:
    """With all of it on the line, nothing is asked."""
    user = server.users["ada@example.com"]
    user.mfa = "123456"
    user.memberships.append(support.membership(2, RESEARCH, "Research"))
    args = ["login", "--email", "ada@example.com", "--password-stdin", "--mfa-code", "123456"]
    assert terminal.run(*args, "--project", "Research", stdin=PASSWORD) == 0
    assert terminal.asked == []
    assert terminal.run("whoami", "--format", "json") == 0
    assert terminal.json["project"] == {"id": RESEARCH, "name": "Research"}


def test_login_as_a_client(terminal: Terminal, server: support.AuthServer) -> None:
    """A client's secret comes from stdin; that its session is short is said."""
    args = ("login", "--client-id", "client-1", "--client-secret-stdin", "--format", "json")
    assert terminal.run(*args, stdin=CLIENT_SECRET + "\r\n") == 0
    assert terminal.json["user"] == "ClientApplication/client-1"
    assert terminal.json["profile"] == "default"
    assert terminal.run("login", "--client-id", "client-1", answers=[CLIENT_SECRET]) == 0
    assert terminal.asked == ["Client secret (hidden)"]
    assert "cannot be prolonged" in terminal.err


def test_login_from_the_environment(
    terminal: Terminal, server: support.AuthServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Credentials that are set need no flag; that they go before the session is said."""
    for name, value in ADA.items():
        monkeypatch.setenv(name, value)
    assert terminal.run("login") == 0
    assert "MEDPLUM_EMAIL (env MEDPLUM_EMAIL) is set and goes before this session" in terminal.err


def test_flags_do_not_mix_with_another_login(
    terminal: Terminal, server: support.AuthServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--email` means that user, whatever client, token or other user's password is set."""
    monkeypatch.setenv("MEDPLUM_EMAIL", "somebody-else@example.com")
    monkeypatch.setenv("MEDPLUM_CLIENT_ID", "client-1")
    monkeypatch.setenv("MEDPLUM_CLIENT_SECRET", CLIENT_SECRET)
    monkeypatch.setenv("MEDPLUM_ACCESS_TOKEN", "other")
    monkeypatch.setenv("MEDPLUM_PASSWORD", "of-somebody-else")
    args = ("login", "--email", "ada@example.com")
    assert terminal.run(*args, answers=[PASSWORD]) == 0
    assert "as ada@example.com" in terminal.err
    assert server.bodies("auth/login")[0]["password"] == PASSWORD


@pytest.mark.parametrize("set_too", [{}, {"MEDPLUM_EMAIL": "ada@example.com"}])
def test_a_flag_goes_with_the_password_that_is_set(
    terminal: Terminal,
    server: support.AuthServer,
    monkeypatch: pytest.MonkeyPatch,
    set_too: dict[str, str],
) -> None:
    """A pipeline names the user on the line and keeps only the password in its environment."""
    for name, value in {"MEDPLUM_PASSWORD": PASSWORD, **set_too}.items():
        monkeypatch.setenv(name, value)
    assert terminal.run("login", "--email", "ada@example.com") == 0
    assert server.bodies("auth/login")[0]["password"] == PASSWORD


def test_login_makes_a_profile(
    terminal: Terminal, server: support.AuthServer, tmp_path: Path
) -> None:
    """A profile that is named and not there is made, with its server, and not put into use."""
    args = ["--profile", "hospital", "login", "--base-url", "https://m.example.com"]
    args += ["--email", "ada@example.com", "--password-stdin"]
    assert terminal.run(*args, stdin=PASSWORD) == 0
    assert "medbots profile use hospital" in terminal.err
    assert sessions.Sessions(tmp_path).session("hospital")
    assert terminal.run("whoami") == 4
    assert terminal.run("whoami", "--profile", "hospital", "--format", "json") == 0
    assert terminal.json["baseUrl"] == "https://m.example.com/"


def test_profile_by_variable(
    terminal: Terminal, server: support.AuthServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MEDBOTS_PROFILE chooses as the flag does, and the flag goes before it."""
    monkeypatch.setenv("MEDBOTS_PROFILE", "hospital")
    args = ["login", "--email", "ada@example.com", "--password-stdin"]
    assert terminal.run(*args, stdin=PASSWORD) == 0
    assert terminal.run("whoami") == 0
    assert terminal.run("whoami", "--profile", "default") == 4


@pytest.mark.parametrize(
    ("args", "stdin", "words"),
    [
        (["--email", "a@b.c", "--client-id", "x"], "", "not as both"),
        (["--password-stdin", "--client-secret-stdin"], "x", "not as both"),
        (["--email", "a@b.c", "--password-stdin"], "\n", "nothing on stdin"),
        (["--email", "a@b.c"], "", "password is missing"),
        (["--client-id", "x"], "", "client secret is missing"),
        (["--password-stdin"], "x", "email is missing"),
        ([], "", "email is missing"),
        (["--base-url", "example.com"], "", "begins with https"),
        (["--base-url", "http://example.com"], "", "unencrypted"),
        (["--profile", "../x", "--email", "a@b.c"], "", "cannot name a profile"),
    ],
)
def test_login_that_cannot_begin(
    terminal: Terminal, server: support.AuthServer, args: list[str], stdin: str, words: str
) -> None:
    """A line that lacks something is exit 64, says what, and sends nothing."""
    assert terminal.run("login", *args, stdin=stdin) == 64
    assert words in terminal.err
    assert server.requests == []


def test_ci_is_never_asked(
    terminal: Terminal, server: support.AuthServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a pipeline with a terminal, or with --non-interactive, nothing is asked."""
    assert terminal.run("login", "--non-interactive", answers=[]) == 64
    monkeypatch.setenv("CI", "true")
    assert terminal.run("login", answers=[]) == 64


def test_wrong_password(terminal: Terminal, server: support.AuthServer, tmp_path: Path) -> None:
    """A wrong password is exit 4, in words or as JSON, and leaves no file."""
    args = ("login", "--email", "ada@example.com", "--password-stdin")
    assert terminal.run(*args, stdin="wrong-horse-9") == 4
    assert "the password is wrong" in terminal.err
    assert "wrong-horse-9" not in terminal.err
    assert terminal.run(*args, "--format", "json", stdin="wrong-horse-9") == 4
    error = terminal.json["error"]
    assert isinstance(error, dict)
    assert error["code"] == "not-logged-in"
    assert files(tmp_path) == []


def test_wrong_password_on_stdin_beside_a_variable(
    terminal: Terminal, server: support.AuthServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable is not blamed for what came on stdin."""
    del server
    monkeypatch.setenv("MEDPLUM_EMAIL", "ada@example.com")
    monkeypatch.setenv("MEDPLUM_PASSWORD", PASSWORD)
    args = ("login", "--email", "ada@example.com", "--password-stdin")
    assert terminal.run(*args, stdin="wrong-horse-9") == 4
    assert "the password is wrong" in terminal.err
    assert "MEDPLUM_PASSWORD" not in terminal.err


def test_server_down(
    terminal: Terminal, server: support.AuthServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is not there is exit 5, with its name and where that came from."""
    for name, value in {**ADA, "MEDPLUM_BASE_URL": "https://m.example.com"}.items():
        monkeypatch.setenv(name, value)
    server.scripted["auth/login"] = [httpx.ReadTimeout("x")]
    assert terminal.run("whoami") == 5
    assert "https://m.example.com/ (env MEDPLUM_BASE_URL) cannot be reached" in terminal.err


def test_logout_while_the_server_is_down(
    terminal: Terminal, server: support.AuthServer, tmp_path: Path
) -> None:
    """The file goes all the same, and the exit code says that the server knows nothing of it."""
    args = ("login", "--email", "ada@example.com", "--password-stdin")
    assert terminal.run(*args, stdin=PASSWORD) == 0
    server.scripted["oauth2/logout"] = [httpx.ReadTimeout("x")]
    assert terminal.run("logout") == 5
    assert "the session file is deleted" in terminal.err
    assert not (tmp_path / "sessions" / "default.json").exists()


def test_verbose_narrates_without_secrets(
    terminal: Terminal, server: support.AuthServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each request is one line on stderr; stdout stays one document."""
    for name, value in ADA.items():
        monkeypatch.setenv(name, value)
    assert terminal.run("whoami", "-v", "--format", "json") == 0
    said = [line.split(" ")[:3] for line in terminal.err.splitlines()]
    assert said == [
        ["POST", "auth/login", "200"], ["POST", "oauth2/token", "200"], ["GET", "auth/me", "200"],
    ]  # fmt: skip
    assert terminal.json["user"] == "ada@example.com"
    assert terminal.run("whoami") == 0
    assert terminal.err == ""
    monkeypatch.setenv("MEDBOTS_LOG", "debug")
    assert terminal.run("whoami") == 0
    assert "POST auth/login 200" in terminal.err


def test_state_folder_that_cannot_be_written(
    terminal: Terminal,
    server: support.AuthServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One clear error, naming what to set; the login is given back."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MEDBOTS_STATE_DIR", str(tmp_path / "file"))
    args = ("login", "--email", "ada@example.com", "--password-stdin")
    assert terminal.run(*args, stdin=PASSWORD) == 1
    assert terminal.err.count("error: ") == 1
    assert "MEDBOTS_STATE_DIR" in terminal.err
