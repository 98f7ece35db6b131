"""Facts of Subscriptions: what is accepted, what fires, how often, and as whom."""

from __future__ import annotations

import httpx
import pytest

from tests.live import scratch
from tests.live.medplum import Json
from tests.live.scratch import SYSTEM, Scratch
from tests.live.watch import Watch

CODES = httpx.codes
FHIRPATH = "https://medplum.com/fhir/StructureDefinition/fhir-path-criteria-expression"
NO_BOT = "Bot/00000000-0000-4000-8000-000000000000"
WHOLE = {
    "resourceType": "Subscription",
    "status": "active",
    "reason": "live",
    "criteria": "Task",
    "channel": {"type": "rest-hook", "endpoint": NO_BOT},
}
FINISHING = "%previous.status != 'finished' and %current.status = 'finished'"
FINISHING_OR_FINISHED = (
    "(%previous.status.exists().not() or %previous.status != 'finished')"
    " and %current.status = 'finished'"
)


class TestAccepted:
    """What the server checks of a Subscription, and what it lets pass."""

    @pytest.mark.parametrize("name", ["status", "reason", "criteria", "channel"])
    def test_what_is_required(self, made: Scratch, name: str) -> None:
        """status, reason, criteria and channel are required: 400."""
        partial = {key: value for key, value in WHOLE.items() if key != name}
        answer = made.admin.post("fhir/R4/Subscription", json=partial)
        assert answer.status_code == CODES.BAD_REQUEST
        assert answer.json()["issue"][0]["expression"] == [f"Subscription.{name}"]

    def test_channel_type_is_required(self, made: Scratch) -> None:
        """channel.type is required: 400."""
        partial = {**WHOLE, "channel": {"endpoint": NO_BOT}}
        answer = made.admin.post("fhir/R4/Subscription", json=partial)
        assert answer.status_code == CODES.BAD_REQUEST
        assert answer.json()["issue"][0]["expression"] == ["Subscription.channel.type"]

    @pytest.mark.parametrize(
        "fields",
        [
            {"channel": {"type": "rest-hook"}},
            {"status": "foo"},
            {"criteria": "Foo"},
            {"criteria": "Task?foo=bar"},
            {"channel": {"type": "rest-hook", "endpoint": NO_BOT}},
        ],
        ids=["no-endpoint", "status", "type", "parameter", "no-such-bot"],
    )
    def test_what_never_fires(self, watch: Watch, fields: Json) -> None:
        """No endpoint, status `foo`, criteria `Foo` or `Task?foo=bar`, no such bot: 201, silent.

        Another Subscription on the same event shows that the event was handled.
        """
        silent = watch.on(**fields)
        control = watch.on()
        task = watch.bots.task(watch.code)
        assert watch.wait(control, 1)[0].startswith(f"Task/{task['id']}")
        assert watch.runs(silent) == []
        kept = watch.bots.admin.read(silent)
        assert {key: kept[key] for key in fields} == fields

    def test_an_inactive_one_is_silent(self, watch: Watch) -> None:
        """Status `off`: nothing fires."""
        silent, control = watch.on(status="off"), watch.on()
        watch.bots.task(watch.code)
        watch.wait(control, 1)
        assert watch.runs(silent) == []


class TestFind:
    """How Subscriptions are found."""

    def test_by_endpoint(self, bots: Scratch) -> None:
        """`Subscription?url=Bot/a,Bot/b&_count=100` finds those of both."""
        ids = [bots.bot(None)["id"] for _ in range(2)]
        wanted = {bots.subscription("Task", f"Bot/{each}")["id"] for each in ids}
        urls = ",".join(f"Bot/{each}" for each in ids)
        found = bots.admin.find(f"Subscription?url={urls}&_count=100")
        assert {each["id"] for each in found} == wanted

    @pytest.mark.parametrize(("modifier", "number"), [("", 2), (":exact", 1)])
    def test_by_criteria(self, made: Scratch, modifier: str, number: int) -> None:
        """`criteria=` is a prefix match; `criteria:exact=` is exact."""
        code = scratch.own_code()
        for criteria in (f"Task?code={code}", f"Task?code={code}x"):
            made.subscription(criteria, NO_BOT)
        query = f"Subscription?criteria{modifier}=Task%3Fcode%3D{code}"
        assert len(made.admin.find(query)) == number


class TestCriteria:
    """What criteria match."""

    @pytest.mark.parametrize(
        ("criteria", "fires"),
        [
            ("Task?code={code}", True),
            ("Task?code={system}|{code}", True),
            ("Task?code=urn:medbots:other|{code}", False),
            ("Task?code={system}", False),
            ("Task?code={code}&status=requested", True),
            ("Task?code={code}&status=completed", False),
        ],
        ids=["any-system", "system", "other-system", "system-without-bar", "both", "not-both"],
    )
    def test_a_code(self, watch: Watch, criteria: str, fires: bool) -> None:
        """`code=x` matches any system; `code=<system>` without `|` matches nothing."""
        asked = watch.on(criteria.format(code=watch.code, system=SYSTEM))
        control = watch.on()
        watch.bots.task(watch.code)
        watch.wait(control, 1)
        if fires:
            watch.wait(asked, 1)
        else:
            assert watch.runs(asked) == []

    def test_a_status_fires_on_every_edit(self, watch: Watch) -> None:
        """`Encounter?status=finished` fires on every edit of a finished Encounter."""
        finished = watch.on(f"Encounter?status=finished&identifier={watch.code}")
        encounter = watch.bots.create(encounter_of(watch.code, "in-progress"))
        encounter = watch.bots.admin.update({**encounter, "status": "finished"})
        watch.wait(finished, 1)
        watch.bots.admin.update({**encounter, "language": "en"})
        assert len(watch.wait(finished, 2)) == 2

    def test_fhirpath_fires_once(self, watch: Watch) -> None:
        """The FHIRPath extension with `%previous` and `%current` fires on the change alone."""
        once = watch.on(
            f"Encounter?identifier={watch.code}",
            extension=[{"url": FHIRPATH, "valueString": FINISHING}],
        )
        control = watch.on(f"Encounter?identifier={watch.code}")
        encounter = watch.bots.create(encounter_of(watch.code, "in-progress"))
        watch.wait(control, 1)
        finished = watch.bots.admin.update({**encounter, "status": "finished"})
        watch.wait(control, 2)
        watch.bots.admin.update({**finished, "language": "en"})
        watch.wait(control, 3)
        (run,) = watch.wait(once, 1)
        assert run.startswith(f"Encounter/{encounter['id']}")

    @pytest.mark.parametrize(
        ("expression", "runs"),
        [(FINISHING, 0), (FINISHING_OR_FINISHED, 1)],
        ids=["bare", "exists-not"],
    )
    def test_previous_is_empty_on_create(self, watch: Watch, expression: str, runs: int) -> None:
        """On create `%previous` is empty: a bare comparison is silent, `exists().not()` helps."""
        asked = watch.on(
            f"Encounter?identifier={watch.code}",
            extension=[{"url": FHIRPATH, "valueString": expression}],
        )
        control = watch.on(f"Encounter?identifier={watch.code}")
        watch.bots.create(encounter_of(watch.code, "finished"))
        watch.wait(control, 1)
        if runs:
            watch.wait(asked, runs)
        assert len(watch.runs(asked)) == runs


def encounter_of(code: str, status: str) -> Json:
    """Return an Encounter with an identifier that this test alone looks for."""
    return {
        "resourceType": "Encounter",
        "identifier": [{"system": SYSTEM, "value": code}],
        "status": status,
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
    }
