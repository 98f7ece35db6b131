"""Every key of a manifest: its meaning, its shape and its default.

From this one table come the reading of a manifest, its JSON Schema for editors and its reference
page.
"""

from __future__ import annotations

import re

from medbots import config
from medbots.manifest import fhir, shape

KEY = r"[a-z][a-z0-9]*(-[a-z0-9]+)*"
KEY_WHAT = "key (lower-case letters, digits and single hyphens, a letter first)"
POLICY_INTERACTIONS = ("read", "vread", "update", "delete", "history", "create", "search")
INTERACTIONS = ("create", "update", "delete")

SOURCE = r"(?!/)[^\\:]+\.(ts|mts|cts|js|cjs)"

DEFAULT_NAMESPACE = "urn:medbots"
DEFAULT_TIMEOUT = 30
TABLE = "clinical_embeddings"


def _namespace(value: str) -> str | None:
    if re.search(r"[\s|#?]", value):
        return "a URI without spaces, `|`, `?` and `#` is needed"
    if value.endswith("/"):
        return "without the final slash: medbots adds `/bot` and the like itself"
    return None


def _policy_type(value: str) -> str | None:
    known = fhir.resource_types()
    if value == "*" or value in known:
        return None
    return f"{value!r} is no resource type{shape.nearest(value, known)}"


_SECRETS = shape.ListOf(
    shape.Text("the name of a secret (capital letters, digits, underscores)", r"[A-Z][A-Z0-9_]*")
)
_ELEMENTS = shape.ListOf(shape.Text("an element's path, such as `telecom`", r"[A-Za-z]\w*(\.\w+)*"))

POLICY = shape.Record(
    "One entry of the bot's own AccessPolicy: what it may do with one resource type.",
    {
        "resourceType": shape.Field(
            "The resource type, or `*` for all.",
            shape.Text("a resource type or `*`", judge=_policy_type),
            required=True,
        ),
        "criteria": shape.Field(
            "Search criteria of that type, which limit the entry; may hold variables such as "
            "`%profile`.",
            shape.Text("search criteria"),
        ),
        "interaction": shape.Field(
            "What is allowed; without it, everything.",
            shape.ListOf(shape.Choice(POLICY_INTERACTIONS)),
        ),
        "readonly": shape.Field("Whether only reading is allowed.", shape.Flag()),
        "hiddenFields": shape.Field("Elements that the bot never sees.", _ELEMENTS),
        "readonlyFields": shape.Field("Elements that the bot cannot change.", _ELEMENTS),
        "writeConstraint": shape.Field(
            "What must hold of a write, all of it: `%before` is the resource as it was, `%after` "
            "as it would be.",
            shape.ListOf(
                shape.Record(
                    "An expression that must be true.",
                    {
                        "language": shape.Field(
                            "The language of the expression.",
                            shape.Choice(("text/fhirpath",)),
                            required=True,
                        ),
                        "expression": shape.Field(
                            "The expression.", shape.Text("a FHIRPath expression"), required=True
                        ),
                    },
                )
            ),
        ),
    },
)

BOT = shape.Record(
    "A bot: code that the server runs.",
    {
        "name": shape.Field(
            "`Bot.name`, unique in the manifest.", shape.Text("a name"), required=True
        ),
        "description": shape.Field("`Bot.description`.", shape.Text("a description")),
        "source": shape.Field(
            "The TypeScript or JavaScript file, relative to the manifest and below its folder. A "
            "`.js` or `.cjs` file is deployed as it is.",
            shape.Text("a path relative to the manifest", SOURCE),
            required=True,
        ),
        "timeout": shape.Field(
            "Seconds of synchronous code that the server allows. An awaited call is not stopped by "
            "it and needs a limit of its own.",
            shape.Whole(1, 900),
            default=DEFAULT_TIMEOUT,
        ),
        "runAsUser": shape.Field(
            "Whether the bot runs with the rights of whoever calls it, instead of its own.",
            shape.Flag(),
            default=False,
        ),
        "policy": shape.Field(
            "The bot's own AccessPolicy. Without it, none is managed.",
            shape.ListOf(POLICY),
        ),
        "secrets": shape.Field("Project secrets without which the bot cannot work.", _SECRETS),
        "optionalSecrets": shape.Field("Project secrets that the bot reads if present.", _SECRETS),
    },
)

SUBSCRIPTION = shape.Record(
    "What triggers a bot.",
    {
        "name": shape.Field(
            "`Subscription.reason`, unique in the manifest.", shape.Text("a name"), required=True
        ),
        "criteria": shape.Field(
            "FHIR search criteria, such as `Encounter?status=finished`. What the server's matcher "
            "cannot evaluate is refused, since the server itself says nothing.",
            shape.Text("search criteria"),
            required=True,
        ),
        "bot": shape.Field("Key of the bot that runs.", shape.Text("a bot's key"), required=True),
        "interaction": shape.Field(
            "The one kind of change that fires. Without it creates, updates and deletes fire.",
            shape.Choice(
                INTERACTIONS,
                remark="the server honours only one: leave the key out for all three",
            ),
        ),
        "fhirPathCriteria": shape.Field(
            "A FHIRPath expression over `%previous` and `%current` that must be true as well. "
            "`%previous` is empty on a create.",
            shape.Text("a FHIRPath expression"),
        ),
    },
)

EMBEDDING = shape.Record(
    "The model that makes vectors.",
    {
        "alias": shape.Field(
            "Its name at the model router.",
            shape.Text("a model alias", r"[^\s/|]+"),
            default=config.DEFAULTS["embedding_model"],
        ),
        "dimension": shape.Field(
            "Length of its vectors, and of the table's column.",
            shape.Whole(1, config.MAX_DIMENSION),
            default=int(config.DEFAULTS["embedding_dim"]),
        ),
        "prefix": shape.Field(
            "What is put before a text: `nomic` writes `search_query: ` and `search_document: `.",
            shape.Choice(config.PREFIXES),
            default=config.DEFAULTS["embedding_prefix"],
        ),
    },
)

CLINICAL = shape.Record(
    "The model that writes text.",
    {
        "alias": shape.Field(
            "Its name at the model router.",
            shape.Text("a model alias", r"[^\s/|]+"),
            default=config.DEFAULTS["clinical_model"],
        ),
    },
)

MODELS = shape.Record(
    "The models, by their names at the OpenAI-compatible router.",
    {
        "embedding": shape.Field(EMBEDDING.doc, EMBEDDING),
        "clinical": shape.Field(CLINICAL.doc, CLINICAL),
    },
)

DATABASE = shape.Record(
    "Where the vectors lie. The address is a secret and stands in `MEDBOTS_DATABASE_URL`.",
    {
        "table": shape.Field(
            "The table. Its name is fixed: the bots' SQL names it.",
            shape.Choice((TABLE,)),
            default=TABLE,
        ),
    },
)

MANIFEST = shape.Record(
    "What should stand in one project.",
    {
        "version": shape.Field("Version of this format.", shape.Choice((1,)), required=True),
        "namespace": shape.Field(
            "URI of everything that medbots marks as its own: identifiers, tags and codes. Change "
            "it to keep two manifests apart in one project.",
            shape.Text("a URI", r"[A-Za-z][A-Za-z0-9+.\-]*:\S+", _namespace),
            default=DEFAULT_NAMESPACE,
        ),
        "project": shape.Field(
            "Name or id of the project, where a login has several. `--project` and "
            "`MEDPLUM_PROJECT` go before it.",
            shape.Text("a name or id"),
        ),
        "models": shape.Field(MODELS.doc, MODELS),
        "database": shape.Field(DATABASE.doc, DATABASE),
        "bots": shape.Field("The bots by key.", shape.MapOf(KEY_WHAT, KEY, BOT), required=True),
        "subscriptions": shape.Field(
            "The subscriptions by key.", shape.MapOf(KEY_WHAT, KEY, SUBSCRIPTION)
        ),
    },
    extensions=True,
)
