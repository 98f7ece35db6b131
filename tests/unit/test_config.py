"""Settings: who wins, what is refused, and where each value came from."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import platformdirs
import pytest
from hypothesis import given, strategies

from medbots import config, errors, secret


def resolve(
    environ: dict[str, str] | None = None,
    *,
    flags: dict[str, object] | None = None,
    profile: dict[str, str] | None = None,
    manifest: dict[str, object] | None = None,
) -> config.Settings:
    """Resolve with what a test does not care about left out."""
    return config.resolve(flags or {}, environ or {}, profile or {}, manifest or {})


def test_defaults_are_the_contracts() -> None:
    """With nothing set, the contract's defaults hold."""
    settings = resolve()
    assert (settings.profile, settings.base_url) == ("default", "http://localhost:8103/")
    assert settings.llm_router_url == settings.bot_llm_router_url == "http://localhost:8080"
    assert (settings.clinical_model, settings.embedding_model) == (
        "clinical-model",
        "embedding-model",
    )
    assert (settings.embedding_dim, settings.embedding_prefix) == (768, "none")
    assert settings.allow_http is False
    unset = ("email", "password", "client_id", "client_secret", "access_token", "project")
    assert [getattr(settings, name) for name in unset] == [None] * 6
    assert settings.database_url is settings.bot_database_url is settings.llm_api_key is None
    assert settings.origin("base_url") == settings.origin("embedding_dim") == "default"


def test_every_setting_has_a_variable() -> None:
    """No setting can be added without saying by which variable it is set."""
    fields = {one.name for one in dataclasses.fields(config.Settings)}
    assert fields == {*config.VARIABLES, "profile", "origins"}
    assert set(config.DEFAULTS) <= set(config.VARIABLES)
    assert set(config.VARIABLES) >= config.SECRETS


@pytest.mark.parametrize("setting", sorted(set(config.VARIABLES) - {"allow_http"}))
def test_environment_sets_each_setting(setting: str) -> None:
    """Each variable of the contract reaches its setting, and is named as its origin."""
    value = {
        "base_url": "https://m.example.com/",
        "llm_router_url": "https://r.example.com",
        "bot_llm_router_url": "http://llm-gateway:4000",
        "embedding_dim": "384",
        "embedding_prefix": "nomic",
    }.get(setting, "value")
    settings = resolve({config.VARIABLES[setting]: value})
    found = getattr(settings, setting)
    assert (found.reveal() if isinstance(found, secret.Secret) else str(found)) == value
    assert settings.origin(setting) == f"env {config.VARIABLES[setting]}"


def test_flag_before_environment_before_profile_before_manifest_before_default() -> None:
    """Each level gives way to the one above it."""
    levels = {
        "flags": {"embedding_model": "flag"},
        "profile": {"EMBEDDING_MODEL": "profile"},
        "manifest": {"embedding_model": "manifest"},
    }
    environ = {"EMBEDDING_MODEL": "env"}
    seen = [resolve(environ, **levels)]
    del levels["flags"]
    seen.append(resolve(environ, **levels))
    seen.append(resolve(**levels))
    del levels["profile"]
    seen.append(resolve(**levels))
    seen.append(resolve())
    assert [(one.embedding_model, one.origin("embedding_model")) for one in seen] == [
        ("flag", "flag --embedding-model"),
        ("env", "env EMBEDDING_MODEL"),
        ("profile", "profile default"),
        ("manifest", "manifest"),
        ("embedding-model", "default"),
    ]


@pytest.mark.parametrize("empty", ["", "  "])
def test_empty_variable_is_unset(empty: str) -> None:
    """Pipelines leave variables empty; that must not log anybody in as nobody."""
    settings = resolve({"MEDPLUM_EMAIL": empty, "MEDPLUM_BASE_URL": empty, "EMBEDDING_DIM": empty})
    assert (settings.email, settings.base_url) == (None, "http://localhost:8103/")
    assert settings.embedding_dim == 768


@pytest.mark.parametrize(
    ("given_url", "base_url"),
    [
        ("https://m.example.com", "https://m.example.com/"),
        ("HTTPS://M.Example.com:443//", "https://m.example.com/"),
        ("https://example.com/medplum", "https://example.com/medplum/"),
        (" http://127.0.0.1:8103 ", "http://127.0.0.1:8103/"),
        ("http://[::1]:8103/", "http://[::1]:8103/"),
        ("http://medplum.localhost:80", "http://medplum.localhost/"),
    ],
)
def test_base_url_is_normalised(given_url: str, base_url: str) -> None:
    """A base URL has one spelling, with a final slash."""
    assert resolve({"MEDPLUM_BASE_URL": given_url}).base_url == base_url


@pytest.mark.parametrize(
    ("given_url", "why"),
    [
        ("localhost:8103", "begins with https:// or http://"),
        ("ftp://example.com/", "begins with https:// or http://"),
        ("https://", "begins with https:// or http://"),
        ("https://ada:hunter22@example.com/", "must not hold a user name"),
        ("https://example.com/?token=hunter22", "query"),
        ("https://example.com:port/", "not a URL"),
        ("https://[::1/", "not a URL"),
        ("https://exa mple.com/", "space"),
        ("https://example.com/fhir/R4", "leave out /fhir/R4: https://example.com/"),
    ],
)
def test_base_url_that_is_none(given_url: str, why: str) -> None:
    """What cannot be a base URL is refused with reason and origin, its secrets untold."""
    with pytest.raises(errors.UsageError, match="base_url \\(env MEDPLUM_BASE_URL\\)") as caught:
        resolve({"MEDPLUM_BASE_URL": given_url})
    assert why in caught.value.message
    assert "hunter22" not in caught.value.message


@pytest.mark.parametrize(
    "url",
    ["http://medplum.example.com/", "http://10.0.0.8:8103/", "http://0.0.0.0:8103/",
     "http://localhost.example.com/", "http://127.0.0.1.example.com/"],
)  # fmt: skip
def test_plain_http_stays_on_this_machine(url: str) -> None:
    """HTTP to another host is refused, unless it is allowed; the hint says how."""
    with pytest.raises(errors.UsageError, match="unencrypted") as caught:
        resolve({"MEDPLUM_BASE_URL": url})
    assert "--allow-http" in (caught.value.hint or "")
    assert "MEDBOTS_ALLOW_HTTP" in (caught.value.hint or "")
    assert resolve({"MEDPLUM_BASE_URL": url, "MEDBOTS_ALLOW_HTTP": "true"}).base_url == url
    assert resolve({"MEDPLUM_BASE_URL": url}, flags={"allow_http": True}).base_url == url


@pytest.mark.parametrize(("text", "allowed"), [("1", True), ("Yes", True), ("0", False)])
def test_allow_http_words(text: str, *, allowed: bool) -> None:
    """The usual words for yes and no are understood."""
    assert resolve({"MEDBOTS_ALLOW_HTTP": text}).allow_http is allowed


def test_newlines_of_files_are_no_part_of_a_value() -> None:
    """A secret that a pipeline reads from a file ends with a newline; a password keeps spaces."""
    environ = {
        "MEDPLUM_ACCESS_TOKEN": "abc\n",
        "MEDPLUM_CLIENT_SECRET": " xyz\r\n",
        "MEDPLUM_PASSWORD": " pass word \n",
        "MEDPLUM_PROJECT": "My Clinic\n",
    }
    settings = resolve(environ)
    assert settings.access_token == secret.Secret("abc")
    assert settings.project == "My Clinic"
    rest = resolve({name: environ[name] for name in environ if name != "MEDPLUM_ACCESS_TOKEN"})
    assert rest.client_secret == secret.Secret("xyz")
    assert rest.password == secret.Secret(" pass word ")


@pytest.mark.parametrize("token", ["two words", "new\nline", "schlüssel"])
def test_access_token_that_cannot_be_sent(token: str) -> None:
    """What fits in no header is refused, and not shown."""
    with pytest.raises(errors.UsageError, match="access_token") as caught:
        resolve({"MEDPLUM_ACCESS_TOKEN": token})
    assert token not in caught.value.message


def test_every_problem_is_told_at_once() -> None:
    """Three bad values are three lines, each with its origin."""
    with pytest.raises(errors.UsageError) as caught:
        resolve(
            {"MEDBOTS_ALLOW_HTTP": "perhaps", "LLM_ROUTER_URL": "nowhere"},
            profile={"EMBEDDING_DIM": "many"},
        )
    no_url = "it must be a URL that begins with https:// or http://"
    assert caught.value.message.splitlines() == [
        "allow_http (env MEDBOTS_ALLOW_HTTP): 'perhaps' is neither true nor false",
        f"llm_router_url (env LLM_ROUTER_URL): {no_url}",
        "embedding_dim (profile default): 'many' is no whole number from 1 to 4000",
    ]
    assert (caught.value.hint or "").startswith("write LLM_ROUTER_URL like https://")


@pytest.mark.parametrize("text", ["0", "-1", "4001", "7.5", "٣", "1e3", "99999999999999999999"])
def test_embedding_dim_is_a_dimension(text: str) -> None:
    """Only what a column can be indexed with is a dimension."""
    with pytest.raises(errors.UsageError, match="embedding_dim"):
        resolve({"EMBEDDING_DIM": text})


@given(strategies.integers(min_value=1, max_value=4000))
def test_embedding_dim_from_the_manifest(dimension: int) -> None:
    """A manifest's number arrives as it is."""
    assert resolve(manifest={"embedding_dim": dimension}).embedding_dim == dimension


def test_embedding_prefix_is_known() -> None:
    """A prefix mode that no bot knows is refused."""
    with pytest.raises(errors.UsageError, match="neither 'none' nor 'nomic'"):
        resolve(manifest={"embedding_prefix": "bert"})


def test_bot_router_follows_the_router() -> None:
    """What the server sees of the router is what is seen from here, unless it is said."""
    settings = resolve({"LLM_ROUTER_URL": "https://router.example.com/"})
    assert settings.bot_llm_router_url == "https://router.example.com"
    assert settings.origin("bot_llm_router_url") == "env LLM_ROUTER_URL"
    both = resolve({"MEDBOTS_BOT_LLM_ROUTER_URL": "http://llm-gateway:4000"})
    assert both.bot_llm_router_url == "http://llm-gateway:4000"


def test_profile_names_itself() -> None:
    """The profile in use is known by name, and in each origin."""
    profile = {config.PROFILE: "local", "MEDPLUM_BASE_URL": "http://127.0.0.1:9001/"}
    settings = resolve(profile=profile)
    assert settings.profile == "local"
    assert settings.origin("base_url") == "profile local"


def test_profile_is_for_its_own_server() -> None:
    """Named another server, nothing of the profile is used: neither login nor database."""
    profile = {
        config.PROFILE: "local",
        "MEDPLUM_BASE_URL": "http://127.0.0.1:9001/",
        "MEDPLUM_EMAIL": "admin@example.com",
        "MEDPLUM_PASSWORD": "local-secret",
        "MEDBOTS_DATABASE_URL": "postgresql://localhost/local",
        "LLM_API_KEY": "key",
    }
    elsewhere = resolve({"MEDPLUM_BASE_URL": "https://hospital.example.com/"}, profile=profile)
    kept = (elsewhere.email, elsewhere.password, elsewhere.database_url, elsewhere.llm_api_key)
    assert kept == (None, None, None, None)
    same = resolve({"MEDPLUM_BASE_URL": "HTTP://127.0.0.1:9001"}, profile=profile)
    assert same.email == "admin@example.com"


def test_complete_credentials_shut_out_lower_ones() -> None:
    """A password in the environment is not overruled by a token that a profile holds."""
    profile = {"MEDPLUM_ACCESS_TOKEN": "old", "MEDPLUM_CLIENT_ID": "c"}
    environ = {"MEDPLUM_EMAIL": "ada@example.com", "MEDPLUM_PASSWORD": "p"}
    settings = resolve(environ, profile=profile)
    assert (settings.access_token, settings.client_id) == (None, None)


def test_halves_of_credentials_add_up() -> None:
    """An address from a flag and a password from the environment are one login."""
    settings = resolve({"MEDPLUM_PASSWORD": "p"}, flags={"email": "ada@example.com"})
    assert settings.email == "ada@example.com"
    assert settings.password == secret.Secret("p")


def test_settings_show_no_secret() -> None:
    """Not even a dump of the settings holds a password, key or token."""
    environ = {config.VARIABLES[name]: f"hunter22-{name}" for name in config.SECRETS}
    assert "hunter22" not in repr(resolve(environ))


def test_state_dir(tmp_path: Path) -> None:
    """MEDBOTS_STATE_DIR names it; else it is the platform's, and nothing is made by asking."""
    chosen = tmp_path / "state"
    assert config.state_dir({"MEDBOTS_STATE_DIR": str(chosen)}) == chosen
    assert not chosen.exists()
    assert config.state_dir({}) == platformdirs.user_state_path("medbots", appauthor=False)
    assert config.state_dir({"MEDBOTS_STATE_DIR": " "}).name == "medbots"
    assert config.state_dir({"MEDBOTS_STATE_DIR": "~/x"}) == Path.home() / "x"
    assert config.state_dir({"MEDBOTS_STATE_DIR": "x"}).is_absolute()


def test_reference_lists_every_variable() -> None:
    """The page about settings names each variable, and its default as it is."""
    page = (Path(__file__).parents[2] / "docs" / "reference" / "settings.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    for setting, variable in config.VARIABLES.items():
        row = next(line for line in rows if f"`{variable}`" in line.split("|")[1])
        if setting in config.DEFAULTS:
            assert row.split("|")[2].strip() == f"`{config.DEFAULTS[setting]}`"
