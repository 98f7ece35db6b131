"""Settings: flag > environment > profile > manifest > default, each with its source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from medbots import errors, secret, urls

PROFILE = "MEDBOTS_PROFILE"
"""Names the profile: in the environment as a choice, in a profile's values as its own name."""
DEFAULT_PROFILE = "default"
FROM_DEFAULT = "default"
"""The origin of a value that nobody set."""

VARIABLES: Mapping[str, str] = {
    "base_url": "MEDPLUM_BASE_URL",
    "email": "MEDPLUM_EMAIL",
    "password": "MEDPLUM_PASSWORD",
    "client_id": "MEDPLUM_CLIENT_ID",
    "client_secret": "MEDPLUM_CLIENT_SECRET",
    "access_token": "MEDPLUM_ACCESS_TOKEN",
    "project": "MEDPLUM_PROJECT",
    "database_url": "MEDBOTS_DATABASE_URL",
    "bot_database_url": "MEDBOTS_BOT_DATABASE_URL",
    "llm_router_url": "LLM_ROUTER_URL",
    "bot_llm_router_url": "MEDBOTS_BOT_LLM_ROUTER_URL",
    "llm_api_key": "LLM_API_KEY",
    "allow_http": "MEDBOTS_ALLOW_HTTP",
    "clinical_model": "CLINICAL_MODEL",
    "embedding_model": "EMBEDDING_MODEL",
    "embedding_dim": "EMBEDDING_DIM",
    "embedding_prefix": "EMBEDDING_PREFIX_MODE",
}
"""Each setting's environment variable; profiles use the same names."""

SECRETS = frozenset(
    {"password", "client_secret", "access_token", "database_url", "bot_database_url", "llm_api_key"}
)
"""Settings that are never shown."""

DEFAULTS: Mapping[str, str] = {
    "base_url": "http://localhost:8103/",
    "llm_router_url": "http://localhost:8080",
    "allow_http": "false",
    "clinical_model": "clinical-model",
    "embedding_model": "embedding-model",
    "embedding_dim": "768",
    "embedding_prefix": "none",
}

PREFIXES = ("none", "nomic")
MAX_DIMENSION = 4000
"""What pgvector can index in a halfvec column."""

_LOGINS = (("access_token",), ("client_id", "client_secret"), ("email", "password"))
_CREDENTIALS = tuple(name for login in _LOGINS for name in login)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set, resolved once for a run."""

    profile: str
    """Name of the profile in use; `default` where none was chosen."""
    base_url: str
    """Always with a final slash."""
    email: str | None
    password: secret.Secret | None
    client_id: str | None
    client_secret: secret.Secret | None
    access_token: secret.Secret | None
    project: str | None
    """Id or name, where the login has several memberships."""
    database_url: secret.Secret | None
    bot_database_url: secret.Secret | None
    llm_router_url: str
    bot_llm_router_url: str
    llm_api_key: secret.Secret | None
    allow_http: bool
    clinical_model: str
    embedding_model: str
    embedding_dim: int
    embedding_prefix: str
    """`none` or `nomic`: whether queries and documents get the model's task prefixes."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """For each setting where its value came from, such as `env MEDPLUM_BASE_URL`."""

    def origin(self, name: str) -> str:
        """Return the source of a setting."""
        return self.origins.get(name, FROM_DEFAULT)

    def stored(self, name: str) -> str:
        """Return the source of a setting that nobody gave on the command line; else nothing."""
        origin = self.origin(name)
        return origin if origin.startswith(("env ", "profile ")) else ""


@dataclass(frozen=True, slots=True)
class _Level:
    """One place that settings come from."""

    name: str
    values: Mapping[str, str]

    def origin(self, setting: str) -> str:
        match self.name:
            case "flag":
                return f"flag --{setting.replace('_', '-')}"
            case "env":
                return f"env {VARIABLES[setting]}"
            case other:
                return other


def resolve(
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    profile: Mapping[str, str],
    manifest: Mapping[str, object],
) -> Settings:
    """Return the settings of this run.

    `flags` and `manifest` are keyed by setting, `environ` and `profile` by variable. A profile
    describes one server: where a flag or the environment names another one, nothing of the
    profile is used, so that its credentials and its database never meet a stranger.

    Raises:
        errors.UsageError: with every value that is not valid, and where it came from.
    """
    name = profile.get(PROFILE) or DEFAULT_PROFILE
    own = _Level(f"profile {name}", _by_variable(profile))
    outer = (_Level("flag", _given(flags)), _Level("env", _by_variable(environ)))
    inner = (_Level("manifest", _given(manifest)), _Level(FROM_DEFAULT, DEFAULTS))
    found = _Resolution((*outer, own, *inner))
    if not found.concerns(own):
        found = _Resolution((*outer, *inner))
    return found.settings(name)


class _Resolution:
    """The values of all levels, brought together and checked."""

    def __init__(self, levels: tuple[_Level, ...]) -> None:
        self._levels = levels
        self._problems: list[str] = []
        self._hint: str | None = None
        self._text: dict[str, str] = {}
        self._origins: dict[str, str] = {}
        for setting in VARIABLES:
            for level in self._candidates(setting):
                if setting in level.values:
                    text = level.values[setting]
                    # Files and pipelines end values with a newline; a password may hold spaces.
                    kept = text.rstrip("\r\n") if setting == "password" else text.strip()
                    self._text[setting] = kept
                    self._origins[setting] = level.origin(setting)
                    break

    def _candidates(self, setting: str) -> Iterator[_Level]:
        """Yield the levels that may set it.

        Credentials are taken together: from the level that completes a way to log in, no lower
        level adds another way, which could win although it was meant for less.
        """
        seen: set[str] = set()
        for level in self._levels:
            yield level
            seen |= level.values.keys()
            if setting in _CREDENTIALS and any(seen.issuperset(login) for login in _LOGINS):
                return

    def concerns(self, level: _Level) -> bool:
        """Whether a profile is about the server of this run."""
        theirs = level.values.get("base_url")
        try:
            return theirs is None or urls.normal(theirs) == urls.normal(self._text["base_url"])
        except ValueError:
            return self._origins["base_url"] == level.name

    def settings(self, profile: str) -> Settings:
        allow_http = self._flag("allow_http")
        base_url = self._base_url(allow_http=allow_http)
        router = self._url("llm_router_url")
        own_bot_router = "bot_llm_router_url" in self._text
        bot_router = self._url("bot_llm_router_url") if own_bot_router else router
        self._origins.setdefault("bot_llm_router_url", self._origins["llm_router_url"])
        settings = Settings(
            profile=profile,
            base_url=base_url,
            email=self._text.get("email"),
            password=self._secret("password"),
            client_id=self._text.get("client_id"),
            client_secret=self._secret("client_secret"),
            access_token=self._token("access_token"),
            project=self._text.get("project"),
            database_url=self._secret("database_url"),
            bot_database_url=self._secret("bot_database_url"),
            llm_router_url=router,
            bot_llm_router_url=bot_router,
            llm_api_key=self._secret("llm_api_key"),
            allow_http=allow_http,
            clinical_model=self._text["clinical_model"],
            embedding_model=self._text["embedding_model"],
            embedding_dim=self._dimension(),
            embedding_prefix=self._prefix(),
            origins=self._origins,
        )
        if self._problems:
            raise errors.UsageError("\n".join(self._problems), hint=self._hint)
        return settings

    def _refuse(self, setting: str, why: str, hint: str | None = None) -> None:
        self._problems.append(f"{setting} ({self._origins[setting]}): {why}")
        self._hint = self._hint or hint

    def _secret(self, setting: str) -> secret.Secret | None:
        text = self._text.get(setting)
        return None if text is None else secret.Secret(text)

    def _token(self, setting: str) -> secret.Secret | None:
        text = self._text.get(setting, "")
        if not all("!" <= character <= "~" for character in text):
            self._refuse(setting, "a token has neither spaces nor characters beyond ASCII")
        return self._secret(setting)

    def _flag(self, setting: str) -> bool:
        text = self._text[setting].lower()
        if text in ("1", "true", "yes", "on"):
            return True
        if text not in ("0", "false", "no", "off"):
            self._refuse(setting, f"{text!r} is neither true nor false")
        return False

    def _url(self, setting: str) -> str:
        try:
            return urls.normal(self._text[setting]).rstrip("/")
        except ValueError as exc:
            like = "https://host.example.org/ or http://localhost:8103/"
            self._refuse(setting, str(exc), f"write {VARIABLES[setting]} like {like}")
            return ""

    def _base_url(self, *, allow_http: bool) -> str:
        url = self._url("base_url") + "/"
        if url.lower().endswith("/fhir/r4/"):
            self._refuse("base_url", f"leave out /fhir/R4: {url[: -len('fhir/R4/')]}")
        elif url.startswith("http:") and not urls.is_loopback(url) and not allow_http:
            self._refuse(
                "base_url",
                f"{url} would send passwords and patient data unencrypted",
                "use https://, or --allow-http (MEDBOTS_ALLOW_HTTP=true) where the network itself "
                "is protected",
            )
        return url

    def _dimension(self) -> int:
        text = self._text["embedding_dim"]
        if text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_DIMENSION:
            return int(text)
        self._refuse("embedding_dim", f"{text!r} is no whole number from 1 to {MAX_DIMENSION}")
        return 0

    def _prefix(self) -> str:
        text = self._text["embedding_prefix"]
        if text not in PREFIXES:
            self._refuse("embedding_prefix", f"{text!r} is neither 'none' nor 'nomic'")
        return text


def _given(values: Mapping[str, object]) -> dict[str, str]:
    return {setting: str(value) for setting, value in values.items() if value not in (None, "")}


def _by_variable(values: Mapping[str, str]) -> dict[str, str]:
    """Return what is set, by setting; an empty variable, as pipelines leave them, is not."""
    named = ((setting, values.get(variable, "")) for setting, variable in VARIABLES.items())
    return {setting: text for setting, text in named if text.strip()}


def state_dir(environ: Mapping[str, str]) -> Path:
    """Return the folder of sessions, profiles and the local stack; it need not be there yet."""
    chosen = environ.get("MEDBOTS_STATE_DIR", "").strip()
    if chosen:
        return Path(chosen).expanduser().absolute()
    import platformdirs  # noqa: PLC0415 - 10 ms that `--help` need not spend

    return platformdirs.user_state_path("medbots", appauthor=False)
