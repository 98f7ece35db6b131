"""`profile list`, `show`, `use` and `remove`: what is shown, and what never is."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from medbots import __main__ as boundary
from medbots import config, secret
from medbots.medplum import identity, sessions, tokens

VALUES = {
    "MEDPLUM_BASE_URL": "http://127.0.0.1:9001/",
    "MEDPLUM_EMAIL": "admin@example.com",
    "MEDPLUM_PASSWORD": "plant-password",
    "MEDPLUM_CLIENT_SECRET": "plant-client",
    "MEDPLUM_ACCESS_TOKEN": "plant-token",
    "MEDBOTS_DATABASE_URL": "postgresql://ada:plant-db@127.0.0.1:5433/medbots?sslkey=plant-key",
    "MEDBOTS_BOT_DATABASE_URL": "host=db password=plant-db",
    "LLM_ROUTER_URL": "http://127.0.0.1:9002",
    "LLM_API_KEY": "plant-key",
    "SOMETHING_ELSE": "plant-else",
}
SESSION = sessions.Session(
    "http://127.0.0.1:9001/",
    "admin@example.com",
    identity.ProjectRef("p1", "Clinic"),
    tokens.Tokens(
        secret.Secret("plant-access"),
        secret.Secret("plant-refresh"),
        datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
    ),
)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> sessions.Sessions:
    """A state folder with the profile `local`, logged in."""
    monkeypatch.setenv("MEDBOTS_STATE_DIR", str(tmp_path))
    monkeypatch.delenv(config.PROFILE, raising=False)
    made = sessions.Sessions(tmp_path)
    made.profiles.write("local", VALUES)
    made.store("local", SESSION)
    return made


def test_list(store: sessions.Sessions, capsys: pytest.CaptureFixture[str]) -> None:
    """Every profile is listed, with who is logged in, and no secret."""
    assert boundary.run(["profile", "list", "--format", "json"]) == 0
    out = capsys.readouterr().out
    assert json.loads(out) == [
        {"name": "default", "active": True, "baseUrl": None, "session": None},
        {
            "name": "local",
            "active": False,
            "baseUrl": "http://127.0.0.1:9001/",
            "session": {
                "baseUrl": "http://127.0.0.1:9001/",
                "project": {"id": "p1", "name": "Clinic"},
                "user": "admin@example.com",
                "expiresAt": "2030-01-02T03:04:05+00:00",
                "refreshable": True,
            },
        },
    ]
    assert boundary.run(["profile", "list"]) == 0
    text = capsys.readouterr().out
    assert "admin@example.com" in text
    assert "plant" not in out + text


def test_show_hides_secrets(store: sessions.Sessions, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a database its address is shown, of a secret or an unknown setting nothing."""
    assert boundary.run(["profile", "show", "local", "--format", "json"]) == 0
    out = capsys.readouterr().out
    assert "plant" not in out
    settings = json.loads(out)["settings"]
    assert settings["MEDPLUM_EMAIL"] == "admin@example.com"
    assert settings["LLM_ROUTER_URL"] == "http://127.0.0.1:9002"
    assert settings["MEDPLUM_PASSWORD"] == settings["LLM_API_KEY"] == "[REDACTED]"
    assert settings["MEDBOTS_DATABASE_URL"] == "postgresql://ada:[REDACTED]@127.0.0.1:5433/medbots"
    assert settings["MEDBOTS_BOT_DATABASE_URL"] == settings["SOMETHING_ELSE"] == "[REDACTED]"
    assert config.PROFILE not in settings


def test_show_as_text(store: sessions.Sessions, capsys: pytest.CaptureFixture[str]) -> None:
    """The active profile is shown where none is named, another by argument or by flag."""
    assert boundary.run(["profile", "show"]) == 0
    assert capsys.readouterr().out == "default (active)\n  session: none\n"
    for args in (["profile", "show", "local"], ["--profile", "local", "profile", "show"]):
        assert boundary.run(args) == 0
        out = capsys.readouterr().out
        assert out.startswith("local\n")
        assert "admin@example.com in Clinic at http://127.0.0.1:9001/" in out
        assert "plant" not in out


def test_use(store: sessions.Sessions, capsys: pytest.CaptureFixture[str]) -> None:
    """The profile in use is remembered for the commands that follow."""
    assert boundary.run(["profile", "use", "local"]) == 0
    assert capsys.readouterr().err == "profile local is in use\n"
    assert store.profile()[config.PROFILE] == "local"
    assert boundary.run(["profile", "use", "default", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"profile": "default", "active": True}
    assert store.profile()[config.PROFILE] == "default"


def test_remove(store: sessions.Sessions, tmp_path: Path) -> None:
    """A profile goes with its session."""
    assert boundary.run(["profile", "use", "local"]) == 0
    assert boundary.run(["profile", "remove", "local"]) == 0
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert left == []
    assert store.profiles.active == "default"


@pytest.mark.parametrize("verb", ["show", "use", "remove"])
def test_unknown_name(
    store: sessions.Sessions, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A typo is exit 64 and names the one it comes near."""
    assert boundary.run(["profile", verb, "locl"]) == 64
    assert "did you mean 'local'" in capsys.readouterr().err


def test_unknown_profile_of_any_command(
    store: sessions.Sessions, capsys: pytest.CaptureFixture[str]
) -> None:
    """A profile that is not there is not passed over in silence."""
    assert boundary.run(["--profile", "locl", "whoami"]) == 64
    assert "did you mean 'local'" in capsys.readouterr().err


def test_damaged_files(store: sessions.Sessions, capsys: pytest.CaptureFixture[str]) -> None:
    """A damaged session is noted and listed as none; a damaged profile can be removed."""
    store.path("local").write_text("{plant")
    assert boundary.run(["profile", "list", "--format", "json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)[1]["session"] is None
    assert "damaged" in captured.err
    store.profiles._path("local").write_text("{plant")
    assert boundary.run(["profile", "list", "--format", "json"]) == 0
    captured = capsys.readouterr()
    assert [one["name"] for one in json.loads(captured.out)] == ["default", "local"]
    assert "local.json is no profile" in captured.err
    assert boundary.run(["profile", "show", "local"]) == 64
    assert "medbots profile remove local" in capsys.readouterr().err
    assert boundary.run(["profile", "remove", "local"]) == 0
    assert store.profiles.names() == ["default"]
