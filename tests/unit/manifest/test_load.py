"""Reading a manifest: what it becomes, and every problem at once with its path and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from medbots import assets, errors, manifest, model

WHOLE = """\
version: 1
namespace: https://clinic.example/medbots
project: Sunshine Clinic
models:
  embedding: {alias: small, dimension: 384, prefix: nomic}
  clinical: {alias: large}
database: {table: clinical_embeddings}
bots:
  writer:
    name: Writer Bot
    description: Writes.
    source: src/writer.ts
    timeout: 20
    runAsUser: true
    policy:
      - {resourceType: Task, criteria: "Task?status=requested", interaction: [read, update]}
      - {resourceType: Patient, readonly: true, hiddenFields: [telecom], readonlyFields: [name]}
      - resourceType: Provenance
        interaction: [update]
        writeConstraint:
          - {language: text/fhirpath, expression: "%after.target = %before.target"}
    secrets: [LLM_ROUTER_URL]
    optionalSecrets: [LLM_API_KEY]
subscriptions:
  finished:
    name: Finished
    criteria: Encounter?status=finished
    bot: writer
    interaction: update
    fhirPathCriteria: "%previous.exists().not() or %previous.status != 'finished'"
"""


def folder(tmp_path: Path, text: str) -> Path:
    """A project with one source and this manifest."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "writer.ts").write_text("export const handler = 1;")
    (tmp_path / "medbots.yaml").write_text(text)
    return tmp_path


def complaints(tmp_path: Path, text: str) -> list[str]:
    """What is wrong with this manifest."""
    with pytest.raises(errors.ManifestError) as caught:
        manifest.load(folder(tmp_path, text))
    assert caught.value.exit_code == 65
    return [str(problem) for problem in caught.value.problems]


def bot(**changes: str) -> str:
    """A manifest of one bot, in which a key holds another text, or nothing."""
    keys = {"name": "Writer Bot", "source": "src/writer.ts"} | changes
    lines = [f"    {key}: {value}" for key, value in keys.items() if value]
    return "\n".join(["version: 1", "bots:", "  writer:", *lines, ""])


def subscription(**changes: str) -> str:
    """A manifest of one bot and one subscription, in which a key holds another text."""
    keys = {"name": "Finished", "criteria": "Encounter", "bot": "writer"} | changes
    lines = [f"    {key}: {value}" for key, value in keys.items() if value]
    return "\n".join([bot().rstrip(), "subscriptions:", "  finished:", *lines, ""])


def test_everything_that_a_manifest_can_say_is_read(tmp_path: Path) -> None:
    """Every key becomes the field that it describes."""
    found = manifest.load(folder(tmp_path, WHOLE))
    assert found.file == tmp_path / "medbots.yaml"
    assert (found.namespace, found.project) == ("https://clinic.example/medbots", "Sunshine Clinic")
    assert found.models == manifest.Models("small", 384, "nomic", "large")
    assert found.bots == (
        model.BotSpec(
            key="writer",
            name="Writer Bot",
            source=tmp_path / "src" / "writer.ts",
            description="Writes.",
            timeout=20,
            run_as_user=True,
            policy=(
                {
                    "resourceType": "Task",
                    "criteria": "Task?status=requested",
                    "interaction": ["read", "update"],
                },
                {
                    "resourceType": "Patient",
                    "readonly": True,
                    "hiddenFields": ["telecom"],
                    "readonlyFields": ["name"],
                },
                {
                    "resourceType": "Provenance",
                    "interaction": ["update"],
                    "writeConstraint": [
                        {
                            "language": "text/fhirpath",
                            "expression": "%after.target = %before.target",
                        }
                    ],
                },
            ),
            secrets=("LLM_ROUTER_URL",),
            optional_secrets=("LLM_API_KEY",),
        ),
    )
    assert found.subscriptions == (
        model.SubscriptionSpec(
            key="finished",
            name="Finished",
            criteria="Encounter?status=finished",
            bot="writer",
            interaction=model.Interaction.UPDATE,
            fhirpath="%previous.exists().not() or %previous.status != 'finished'",
        ),
    )
    assert found.warnings == ()


def test_what_a_manifest_leaves_out_has_its_default(tmp_path: Path) -> None:
    """A short manifest gets the defaults, and gives no settings that it does not name."""
    found = manifest.load(folder(tmp_path, bot()))
    assert found.namespace == "urn:medbots"
    assert found.project is None
    assert found.models == manifest.Models("embedding-model", 768, "none", "clinical-model")
    assert (found.bots[0].timeout, found.bots[0].run_as_user) == (30, False)
    assert found.bots[0].policy == found.bots[0].secrets == ()
    assert dict(found.settings) == {}


def test_settings_hold_what_the_file_gives(tmp_path: Path) -> None:
    """Settings are named as in `config.Settings`, so that they rank below flags and environment."""
    assert dict(manifest.load(folder(tmp_path, WHOLE)).settings) == {
        "project": "Sunshine Clinic",
        "embedding_model": "small",
        "embedding_dim": 384,
        "embedding_prefix": "nomic",
        "clinical_model": "large",
    }


def test_the_packaged_manifest_is_valid_and_used_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a manifest in the working folder the packaged one is read."""
    monkeypatch.chdir(tmp_path)
    found = manifest.load()
    assert found.file == assets.bot_templates() / "medbots.yaml"
    assert all(spec.source.is_file() for spec in found.bots)
    assert {one.bot for one in found.subscriptions} <= {spec.key for spec in found.bots}


def test_the_manifest_of_the_working_folder_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`medbots.yaml` in the working folder is used, by its absolute path."""
    monkeypatch.chdir(folder(tmp_path, bot()))
    assert manifest.load().file == tmp_path / "medbots.yaml"


def test_a_manifest_that_is_not_there_is_said(tmp_path: Path) -> None:
    """A named file must exist; the packaged manifest does not stand in for it."""
    with pytest.raises(errors.ManifestError, match=r"other\.yaml: 1 problem\n.*No such file"):
        manifest.load(tmp_path / "other.yaml")


def test_every_problem_is_told_at_once_in_the_order_of_lines(tmp_path: Path) -> None:
    """One run tells what is wrong with shape, names, files, criteria and references."""
    text = (
        WHOLE.replace("version: 1", "version: 2")
        .replace("namespace:", "namspace:")
        .replace("timeout: 20", "timeout: 901")
        .replace("src/writer.ts", "src/none.ts")
        .replace("bot: writer", "bot: writr")
        .replace("Encounter?status", "Encounter?stauts")
    )
    assert complaints(tmp_path, text) == [
        "line 1: version: expected 1, got the number 2",
        "line 2: namspace: unknown key; did you mean 'namespace'?",
        "line 12: bots.writer.source: file not found: src/none.ts",
        "line 13: bots.writer.timeout: expected a whole number from 1 to 900, got 901",
        (
            "line 27: subscriptions.finished.criteria: Encounter has no search parameter 'stauts'; "
            "did you mean 'status'?"
        ),
        "line 28: subscriptions.finished.bot: there is no bot 'writr'; did you mean 'writer'?",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (bot(name=""), "line 4: bots.writer.name: missing"),
        (bot(name="''"), "line 4: bots.writer.name: expected a name, got empty text"),
        (bot(name="yes"), "line 4: bots.writer.name: expected a name, got true; put it in quotes"),
        (bot(name="2026-01-01"), "expected a name, got a date; put it in quotes"),
        (bot(name="[a]"), "line 4: bots.writer.name: expected a name, got a list"),
        (bot(timeout="0"), "expected a whole number from 1 to 900, got 0"),
        (bot(timeout="true"), "expected a whole number from 1 to 900, got true"),
        (bot(timeout="'30'"), "expected a whole number from 1 to 900, got the text '30'"),
        (bot(timeout="1.5"), "expected a whole number from 1 to 900, got the number 1.5"),
        (bot(runAsUser="'no'"), "bots.writer.runAsUser: expected true or false, got the text 'no'"),
        (bot(runasuser="true"), "unknown key; did you mean 'runAsUser'?"),
        (bot(secrets="LLM_API_KEY"), "expected a list, got the text 'LLM_API_KEY'"),
        (bot(secrets="[llm_key]"), "bots.writer.secrets[0]: expected the name of a secret"),
        (bot(secrets="[A, B, A]"), "line 6: bots.writer.secrets[2]: 'A' stands twice"),
        (
            bot(secrets="[A]", optionalSecrets="[A]"),
            "bots.writer.optionalSecrets[0]: A is among the bot's secrets already",
        ),
        (bot(source="/etc/passwd.ts"), "expected a path relative to the manifest"),
        (bot(source="../other/x.ts"), "must lie below the manifest's folder"),
        (bot(source="src/writer.py"), "expected a path relative to the manifest"),
        (bot(policy="[{interaction: [read]}]"), "bots.writer.policy[0].resourceType: missing"),
        (
            bot(policy="[{resourceType: Pateint}]"),
            "policy[0].resourceType: 'Pateint' is no resource type; did you mean 'Patient'?",
        ),
        (
            bot(policy="[{resourceType: Task, interaction: [write]}]"),
            (
                "policy[0].interaction[0]: expected read, vread, update, delete, history, create "
                "or search, got the text 'write'"
            ),
        ),
        (
            bot(policy="[{resourceType: Task, criteria: 'Patient?name=x'}]"),
            "policy[0].criteria: the criteria are about 'Patient', the entry is about 'Task'",
        ),
        (
            bot(policy="[{resourceType: Patient, hiddenFields: [adress]}]"),
            "policy[0].hiddenFields[0]: Patient has no element 'adress'; did you mean 'address'?",
        ),
        (
            bot(policy="[{resourceType: Task, writeConstraint: [{expression: 'true'}]}]"),
            "policy[0].writeConstraint[0].language: missing",
        ),
        (
            bot(
                policy="[{resourceType: Task, writeConstraint: "
                "[{language: text/fhirpath, expression: '%after.stats = 1'}]}]"
            ),
            "writeConstraint[0].expression: Task has no element 'stats'; did you mean 'status'?",
        ),
        (
            bot(
                policy="[{resourceType: Task, writeConstraint: "
                "[{language: text/fhirpath, expression: '%current.status = 1'}]}]"
            ),
            "writeConstraint[0].expression: %current is not defined, only %before and %after",
        ),
        (subscription(interaction="[create]"), "expected create, update or delete, got a list"),
        (subscription(interaction="all"), "the server honours only one: leave the key out"),
        (subscription(criteria="Foo"), "'Foo' is no resource type"),
        (subscription(fhirPathCriteria="'%current.'"), "expected a value at the end"),
        (
            subscription(fhirPathCriteria="\"%current.stats = 'x'\""),
            "Encounter has no element 'stats'; did you mean 'status'?",
        ),
        ("version: 1\nbots: {Writer_Bot: {}}\n", "line 2: bots.Writer_Bot: 'Writer_Bot' is no key"),
        ("version: 1\nbots: []\n", "line 2: bots: expected a mapping, got a list"),
        ("version: 1\n", "line 1: bots: missing"),
        ("bots: {}\n", "line 1: version: missing"),
        ("- 1\n", "line 1: expected a mapping, got a list"),
        ("version: 1\nbots: {}\nnamespace: medbots\n", "namespace: expected a URI"),
        ("version: 1\nbots: {}\nnamespace: 'urn:a|b'\n", "a URI without spaces, `|`"),
        ("version: 1\nbots: {}\nnamespace: 'https://a/'\n", "without the final slash"),
        ("version: 1\nbots: {}\nproject: 7\n", "expected a name or id, got the number 7"),
        ("version: 1\nbots: {}\ndatabase: {table: t}\n", "expected clinical_embeddings"),
        (
            "version: 1\nbots: {}\nmodels: {embedding: {dimension: 4001}}\n",
            "models.embedding.dimension: expected a whole number from 1 to 4000, got 4001",
        ),
        (
            "version: 1\nbots: {}\nmodels: {embedding: {prefix: nomik}}\n",
            (
                "models.embedding.prefix: expected none or nomic, got the text 'nomik'; "
                "did you mean 'nomic'?"
            ),
        ),
    ],
)
def test_a_problem_names_its_place_and_what_would_be_right(
    tmp_path: Path, text: str, problem: str
) -> None:
    """Each kind of fault is told in one line."""
    found = complaints(tmp_path, text)
    assert [one for one in found if problem in one] == found


def test_names_are_unique(tmp_path: Path) -> None:
    """Two bots, or two subscriptions, of one name could not be told apart on the server."""
    text = subscription() + ("  again: {name: Finished, criteria: Task, bot: writer}\n")
    text = text.replace(
        "subscriptions:", "  second: {name: Writer Bot, source: src/writer.ts}\nsubscriptions:"
    )
    assert complaints(tmp_path, text) == [
        "line 6: bots.second.name: 'Writer Bot' is the name of bots.writer too",
        "line 12: subscriptions.again.name: 'Finished' is the name of subscriptions.finished too",
    ]


@pytest.mark.parametrize(
    ("first", "second", "twice"),
    [
        ("Task", "Task", True),
        ("'Task?status=draft&code=b'", "'Task?code=b&status=draft'", True),
        ("Task, interaction: create", "Task", True),
        ("Task, interaction: create", "Task, interaction: create", True),
        ("Task, interaction: create", "Task, interaction: update", False),
        ("'Task?status=draft'", "'Task?status=ready'", False),
        ("Task, fhirPathCriteria: '%previous.exists()'", "Task", False),
    ],
)
def test_two_subscriptions_that_fire_on_one_change_are_refused(
    tmp_path: Path, first: str, second: str, twice: bool
) -> None:
    """The server runs a bot once for each Subscription that matches."""
    text = bot() + (
        "subscriptions:\n"
        f"  one: {{name: One, bot: writer, criteria: {first}}}\n"
        f"  two: {{name: Two, bot: writer, criteria: {second}}}\n"
    )
    if not twice:
        assert len(manifest.load(folder(tmp_path, text)).subscriptions) == 2
        return
    assert complaints(tmp_path, text) == [
        (
            "line 8: subscriptions.two.criteria: the same criteria and bot as subscriptions.one: "
            "the bot would run twice"
        )
    ]


def test_anchors_have_a_place_at_the_top(tmp_path: Path) -> None:
    """A key with `x-` is the user's own, and merged mappings count as written out."""
    text = (
        "version: 1\nx-common: &common {timeout: 7, secrets: [A]}\n"
        "bots:\n  writer: {<<: *common, name: W, source: src/writer.ts, timeout: 8}\n"
    )
    spec = manifest.load(folder(tmp_path, text)).bots[0]
    assert (spec.timeout, spec.secrets) == (8, ("A",))


def test_nothing_is_taken_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `${NAME}` is text like any other."""
    monkeypatch.setenv("CLINIC", "x")
    assert manifest.load(folder(tmp_path, bot(name="${CLINIC}"))).bots[0].name == "${CLINIC}"


def test_a_create_that_would_not_fire_is_warned_of(tmp_path: Path) -> None:
    """A comparison with an empty %previous is not true: legal, and seldom meant."""
    text = subscription(fhirPathCriteria="\"%previous.status != 'finished'\"")
    warnings = manifest.load(folder(tmp_path, text)).warnings
    assert [(one.path, one.line) for one in warnings] == [
        ("subscriptions.finished.fhirPathCriteria", 11)
    ]
    assert "%previous is empty when the resource is created" in warnings[0].message
