"""What should stand in a project: the manifest with the settings of a run filled in."""

from __future__ import annotations

from pathlib import Path

import pytest

from medbots import config, desired, errors, manifest, model

MANIFEST = """\
version: 1
namespace: https://clinic.example/bots
bots:
  one:
    name: One
    source: one.js
    secrets: [DATABASE_URL, LLM_ROUTER_URL, MEDBOTS_PROJECT_ID, SAFETY_POLICY]
    optionalSecrets: [LLM_API_KEY, MEDBOTS_NAMESPACE]
  two: {name: Two, source: one.js, secrets: [LLM_API_KEY]}
subscriptions:
  one-condition: {name: One - Condition, criteria: Condition, bot: one}
"""


def build(tmp_path: Path, **environ: str) -> model.Desired:
    """Return the wish for project p1 in this environment."""
    (tmp_path / "one.js").write_text("exports.handler = 1;")
    file = tmp_path / "medbots.yaml"
    file.write_text(MANIFEST)
    found = manifest.load(file)
    settings = config.resolve({}, environ, {}, found.settings)
    return desired.build(found, settings, environ, "p1", {})


def secrets(found: model.Desired) -> dict[str, tuple[str | None, bool, bool]]:
    """Return each secret's value, whether it is required, and whether it is a default."""
    return {
        one.name: (one.value and one.value.reveal(), one.required, one.default)
        for one in found.secrets
    }


def test_secrets_without_any_setting(tmp_path: Path) -> None:
    """What medbots knows is filled in, defaults are marked, the rest has no value."""
    assert secrets(build(tmp_path)) == {
        "DATABASE_URL": (None, True, False),
        "LLM_API_KEY": (None, True, False),
        "LLM_ROUTER_URL": ("http://localhost:8080", True, True),
        "MEDBOTS_NAMESPACE": ("https://clinic.example/bots", False, False),
        "MEDBOTS_PROJECT_ID": ("p1", True, False),
        "SAFETY_POLICY": (None, True, False),
    }


def test_secrets_from_the_environment(tmp_path: Path) -> None:
    """A setting goes in as the bots see it; any other secret by its own name."""
    found = secrets(
        build(
            tmp_path,
            LLM_ROUTER_URL="http://localhost:4000",
            MEDBOTS_BOT_LLM_ROUTER_URL="http://llm-gateway:4000",
            LLM_API_KEY="key",
            SAFETY_POLICY="strict",
            MEDBOTS_NAMESPACE="urn:somebody-elses",
        )
    )
    assert found["LLM_ROUTER_URL"] == ("http://llm-gateway:4000", True, False)
    assert found["LLM_API_KEY"] == ("key", True, False)
    assert found["SAFETY_POLICY"] == ("strict", True, False)
    assert found["MEDBOTS_NAMESPACE"][0] == "https://clinic.example/bots"


def test_the_database_secret_is_never_taken_from_the_environment(tmp_path: Path) -> None:
    """The bots get a role of their own, not whatever DATABASE_URL a shell happens to hold."""
    found = build(tmp_path, DATABASE_URL="postgresql://owner:pw@localhost/medplum")
    spec = next(one for one in found.secrets if one.name == "DATABASE_URL")
    assert (spec.value, spec.made_by) == (None, "medbots db init")


def test_a_device_for_each_alias(tmp_path: Path) -> None:
    """Each model alias in use has its Device, once."""
    found = build(tmp_path, CLINICAL_MODEL="m", EMBEDDING_MODEL="m")
    assert [one.key for one in found.devices] == ["m"]


def test_only_limits_bots_subscriptions_and_secrets(tmp_path: Path) -> None:
    """A limited run touches nothing that its bots do not need."""
    found = desired.only(build(tmp_path), "two")
    assert [bot.key for bot in found.bots] == ["two"]
    assert found.subscriptions == ()
    assert [one.name for one in found.secrets] == ["LLM_API_KEY"]
    assert [one.key for one in desired.only(build(tmp_path), "one*").subscriptions] == [
        "one-condition"
    ]


def test_only_of_several(tmp_path: Path) -> None:
    """Globs parted by commas are taken together; a subscription's key means it alone."""
    found = desired.only(build(tmp_path), "two, one-cond*")
    assert [bot.key for bot in found.bots] == ["two"]
    assert [one.key for one in found.subscriptions] == ["one-condition"]


@pytest.mark.parametrize("pattern", ["tow", "one*,tow", "tow,"])
def test_only_that_matches_nothing(tmp_path: Path, pattern: str) -> None:
    """A key that does not exist names the nearest, also beside one that does."""
    with pytest.raises(errors.UsageError, match="--only tow: ") as caught:
        desired.only(build(tmp_path), pattern)
    assert caught.value.hint == "did you mean two?"
