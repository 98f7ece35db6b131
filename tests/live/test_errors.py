"""What a user who errs is told: one message that helps, the contract's exit code, no traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live import router
from tests.live import stage as stage_module
from tests.live.command import Result
from tests.live.stage import Stage

NOT_ALLOWED, UNREACHABLE, USAGE, INVALID = 4, 5, 64, 65
DOWN = "http://127.0.0.1:9/"


def check(result: Result, code: int, *words: str) -> None:
    """Assert the code, the words and that nothing but a message was printed."""
    result.expect(code)
    assert result.out == ""
    assert result.err.startswith("error: ")
    assert "Traceback" not in result.err
    for word in words:
        assert word in result.err


@pytest.mark.parametrize(
    "verb",
    [
        ("plan",),
        ("deploy",),
        ("subscriptions", "sync"),
        ("subscriptions", "list"),
        ("db", "init"),
        ("whoami",),
    ],
    ids=" ".join,
)
class TestServer:
    """A server that is not there, or is something else."""

    def test_it_is_down(self, stage: Stage, verb: tuple[str, ...]) -> None:
        """Nobody listens: exit 5, and the address is named."""
        check(stage.medbots.having(MEDPLUM_BASE_URL=DOWN)(*verb), UNREACHABLE, "127.0.0.1:9")

    def test_it_is_another(self, stage: Stage, verb: tuple[str, ...]) -> None:
        """Something else answers, JSON too: exit 5, the address, and the question what it is."""
        with router.running() as url:
            result = stage.medbots.having(MEDPLUM_BASE_URL=url)(*verb)
        check(result, UNREACHABLE, url.removeprefix("http://"), "is this a Medplum server?")

    def test_the_token_is_bad(self, stage: Stage, verb: tuple[str, ...]) -> None:
        """A token that the server does not know: exit 4, and where it came from."""
        bad = stage.medbots.having(MEDPLUM_ACCESS_TOKEN="no-such-token")
        result = bad(*verb)
        check(result, NOT_ALLOWED, "MEDPLUM_ACCESS_TOKEN")
        assert "no-such-token" not in result.err


def test_plain_http_to_a_stranger(stage: Stage) -> None:
    """Plain HTTP to a host that is not loopback is refused before anything is sent."""
    result = stage.medbots.having(MEDPLUM_BASE_URL="http://192.0.2.1/")("whoami")
    check(result, USAGE, "--allow-http")


def test_no_tls_there(stage: Stage) -> None:
    """HTTPS to a server that speaks plain HTTP: exit 5, and that it is TLS."""
    https = stage.target.base_url.replace("http://", "https://")
    if https == stage.target.base_url and not stage.target.base_url.startswith("http://"):
        pytest.skip("this server speaks TLS")
    result = stage.medbots.having(MEDPLUM_BASE_URL=https)("whoami")
    check(result, UNREACHABLE, "TLS")


@pytest.mark.parametrize(
    ("url", "code", "words"),
    [
        (None, USAGE, "MEDBOTS_DATABASE_URL"),
        ("postgresql://owner:secret-word@127.0.0.1:9/x", UNREACHABLE, "127.0.0.1"),
        ("not a url", USAGE, "MEDBOTS_DATABASE_URL"),
    ],
    ids=["none", "down", "no-url"],
)
@pytest.mark.parametrize("verb", ["init", "status"])
def test_the_database(stage: Stage, verb: str, url: str | None, code: int, words: str) -> None:
    """No database, one that is down, a value that is no URL; the password is never shown."""
    result = stage.medbots.having(MEDBOTS_DATABASE_URL=url)("db", verb)
    check(result, code, words)
    assert "secret-word" not in result.err


def test_a_role_without_rights(deployed: Stage) -> None:
    """`db init` as a role that may not make roles: exit 4, and what it lacks."""
    url = deployed.secrets()["DATABASE_URL"]
    result = deployed.medbots.having(MEDBOTS_DATABASE_URL=url)("db", "init")
    check(result, NOT_ALLOWED)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bots": {"embedding": {"timeuot": 3}}}, "did you mean 'timeout'?"),
        ({"subscriptions": {"embedding-condition": {"criteria": "Condtion"}}}, "Condition"),
        ({"subscriptions": {"embedding-condition": {"criteria": "Task?foo=bar"}}}, "foo"),
        ({"subscriptions": {"embedding-condition": {"bot": "embeding"}}}, "embedding"),
        ({"bots": {"embedding": {"source": "src/bots/none.ts"}}}, "none.ts"),
    ],
    ids=["unknown-key", "unknown-type", "unknown-parameter", "unknown-bot", "no-source"],
)
@pytest.mark.parametrize("verb", ["plan", "deploy", "verify"])
def test_a_manifest_that_is_wrong(
    stage: Stage, tmp_path: Path, verb: str, change: dict[str, object], words: str
) -> None:
    """Exit 65 before anything is sent; path, and the nearest right word."""
    manifest = stage_module.change_manifest(stage, tmp_path, change)
    check(stage.medbots.with_manifest(manifest)(verb), INVALID, words)


def test_a_bundle_that_throws(stage: Stage, tmp_path: Path) -> None:
    """A bot that throws when it is loaded: exit 65, and the bot is named."""
    source = stage.manifest.parent / "src" / "bots" / f"{tmp_path.name}.ts"
    source.write_text("throw new Error('on load');\nexport const handler = async () => 1;\n")
    change = {"bots": {"embedding": {"source": f"src/bots/{source.name}"}}}
    manifest = stage_module.change_manifest(stage, tmp_path, change)
    result = stage.medbots.with_manifest(manifest)("deploy")
    check(result, INVALID, "embedding")


@pytest.mark.parametrize("verb", ["plan", "deploy"])
def test_as_json(stage: Stage, verb: str) -> None:
    """With --format json the error is the document on stdout, and the exit code the same."""
    result = stage.medbots.having(MEDPLUM_BASE_URL=DOWN)(verb, "--format", "json")
    assert result.code == UNREACHABLE
    assert result.json["error"]["code"] == "unreachable"
    assert set(result.json["error"]) >= {"code", "message", "hint"}


def test_a_state_folder_that_cannot_be_written(stage: Stage, tmp_path: Path) -> None:
    """A state folder that is a file: one message that names it."""
    file = tmp_path / "state"
    file.write_text("")
    args = ("login", "--email", stage.clinic.login.email, "--password-stdin")
    command = stage.medbots.having(MEDBOTS_STATE_DIR=str(file), MEDPLUM_ACCESS_TOKEN=None)
    result = command(*args, stdin=stage.clinic.login.password)
    assert result.code == 1
    assert str(file) in result.err
    assert "Traceback" not in result.err
