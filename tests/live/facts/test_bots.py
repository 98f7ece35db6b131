"""Facts of Bots: how they are made, what runs them, what their project must allow."""

from __future__ import annotations

import uuid

import httpx
import pytest

from tests.live import medplum, projects, scratch
from tests.live.medplum import EXTENDED, Json, Session
from tests.live.projects import Clinic
from tests.live.scratch import Scratch

CODES = httpx.codes
MARK = {"system": "urn:medbots:live", "value": "bot"}

# Left out: the default runtime `awslambda` of `Bot/$init`, which a configuration may change.


class TestAdminEndpoint:
    """`POST /admin/projects/:pid/bot`, the only way to a bot with its membership."""

    def test_it_makes_a_bot_with_its_membership(self, bots: Scratch) -> None:
        """201; code as bytes; the membership's user and profile are the Bot."""
        bot = bots.bot("exports.handler = async () => 'ran';\n", description="A bot.")
        assert bot["runtimeVersion"] == "vmcontext"
        assert bot["description"] == "A bot."
        (membership,) = bots.memberships(bot["id"])
        assert membership["user"]["reference"] == f"Bot/{bot['id']}"
        assert membership["profile"]["reference"] == f"Bot/{bot['id']}"
        assert membership["project"]["reference"] == f"Project/{bots.clinic.id}"
        assert bots.admin.execute(bot["id"]).text == "ran"

    def test_the_code_may_be_a_binary(self, bots: Scratch) -> None:
        """An attachment may be `{url: "Binary/<id>"}`; the answer holds that bare URL."""
        url = bots.binary(b"exports.handler = async () => 'from a Binary';\n")
        bot = bots.bot(executableCode={"contentType": "application/javascript", "url": url})
        assert bot["executableCode"]["url"] == url
        assert bots.admin.execute(bot["id"]).text == "from a Binary"

    def test_it_drops_identifier_and_timeout(self, bots: Scratch) -> None:
        """`identifier` and `timeout` are ignored without a word; a PUT after it keeps them."""
        bot = bots.bot(identifier=[MARK], timeout=33, runAsUser=True, meta={"tag": [{"code": "x"}]})
        read = bots.admin.read(f"Bot/{bot['id']}")
        assert not {"identifier", "timeout", "runAsUser"} & set(read)
        assert "tag" not in read["meta"]
        bots.admin.update({**read, "identifier": [MARK], "timeout": 33, "runAsUser": True})
        again = bots.admin.read(f"Bot/{bot['id']}")
        assert (again["identifier"], again["timeout"], again["runAsUser"]) == ([MARK], 33, True)

    def test_the_project_in_the_path_is_ignored(self, bots: Scratch) -> None:
        """`:pid` is ignored: the token's project decides."""
        answer = bots.admin.post(
            f"admin/projects/{uuid.uuid4()}/bot", json={"name": projects.unique("bot")}
        )
        bot = medplum.expect(answer, CODES.CREATED)
        bots.keep_bot(bot["id"])
        assert bots.admin.read(f"Bot/{bot['id']}", EXTENDED)["meta"]["project"] == bots.clinic.id

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            ({}, "Bot name is required"),
            (
                {"name": "live", "executableCode": {"url": "https://example.com/x.js"}},
                "Invalid attachment: URL must start with Binary/",
            ),
            (
                {"name": "live", "executableCode": {"contentType": "text/javascript"}},
                "Invalid attachment: Missing data or url",
            ),
        ],
        ids=["no-name", "foreign-url", "no-code"],
    )
    def test_what_it_refuses(
        self, admin: Session, clinic: Clinic, body: Json, message: str
    ) -> None:
        """A missing name, code elsewhere, an attachment of nothing: 400."""
        answer = admin.post(f"admin/projects/{clinic.id}/bot", json=body)
        assert answer.status_code == CODES.BAD_REQUEST
        assert medplum.text_of(answer) == message

    def test_a_policy_goes_onto_the_membership(self, bots: Scratch) -> None:
        """`accessPolicy` is the membership's, from the start."""
        policy = bots.create({"resourceType": "AccessPolicy", "name": projects.unique("policy")})
        reference = {"reference": f"AccessPolicy/{policy['id']}"}
        bot = bots.bot(accessPolicy=reference)
        (membership,) = bots.memberships(bot["id"])
        assert membership["accessPolicy"]["reference"] == reference["reference"]

    def test_a_dangling_policy_fails_at_the_run(self, bots: Scratch) -> None:
        """A policy that does not exist is accepted (201); whoever runs the bot then sees 400."""
        bot = bots.bot(
            "exports.handler = async (medplum) => medplum.searchResources('Patient');\n",
            accessPolicy={"reference": f"AccessPolicy/{uuid.uuid4()}"},
        )
        answer = bots.admin.execute(bot["id"])
        assert answer.status_code == CODES.BAD_REQUEST
        assert "Invalid access policy configuration" in medplum.text_of(answer)


class TestMembership:
    """A bot made by plain FHIR create, which nothing complains about and no subscription runs."""

    def test_fhir_create_makes_none(self, bots: Scratch) -> None:
        """`POST /fhir/R4/Bot` makes no ProjectMembership."""
        bot = bots.lonely_bot()
        assert bots.memberships(bot["id"]) == []

    def test_execute_succeeds_as_the_caller(self, bots: Scratch) -> None:
        """`$execute` without membership succeeds, as the caller: what it writes is theirs."""
        code = (
            "exports.handler = async (medplum) =>"
            " medplum.createResource({resourceType: 'Basic', code: {text: 'live'}});\n"
        )
        mine = medplum.expect(bots.admin.execute(bots.lonely_bot(code)["id"]))
        bots.keep(f"Basic/{mine['id']}")
        theirs = medplum.expect(bots.run(code))
        bots.keep(f"Basic/{theirs['id']}")
        assert author(bots.admin, mine).startswith("Practitioner/")
        assert author(bots.admin, theirs).startswith("Bot/")

    def test_a_subscription_without_it_is_silent(self, bots: Scratch) -> None:
        """No membership: nothing runs, no AuditEvent, and the Subscription stays active."""
        code = scratch.own_code()
        lonely, whole = bots.lonely_bot(), bots.bot()
        silent = bots.subscription(f"Task?code={code}", f"Bot/{lonely['id']}")
        control = bots.subscription(f"Task?code={code}", f"Bot/{whole['id']}")
        bots.task(code)
        scratch.wait_for_runs(bots.admin, f"Subscription/{control['id']}")
        assert bots.admin.find(f"AuditEvent?entity=Bot/{lonely['id']}") == []
        assert scratch.runs(bots.admin, f"Subscription/{silent['id']}") == []
        assert bots.admin.read(f"Subscription/{silent['id']}")["status"] == "active"

    def test_one_search_finds_all(self, bots: Scratch) -> None:
        """`ProjectMembership?profile=Bot/a,Bot/b,…` finds all in one search."""
        first, second, lonely = bots.bot()["id"], bots.bot()["id"], bots.lonely_bot()["id"]
        found = bots.memberships(first, lonely, second)
        assert {each["profile"]["reference"] for each in found} == {
            f"Bot/{first}",
            f"Bot/{second}",
        }

    def test_an_admin_cannot_make_one(self, bots: Scratch) -> None:
        """A project admin's POST of a ProjectMembership is 400: its properties are blanked."""
        answer = bots.admin.post(
            "fhir/R4/ProjectMembership", json=membership_of(bots, bots.lonely_bot())
        )
        assert answer.status_code == CODES.BAD_REQUEST
        messages = [(each["details"]["text"], each["expression"]) for each in issues(answer)]
        assert messages == [
            ("Missing required property", ["ProjectMembership.project"]),
            ("Missing required property", ["ProjectMembership.user"]),
        ]

    def test_a_super_admin_can(self, bots: Scratch, super_admin: Session) -> None:
        """A super admin's POST, with meta.project, repairs it: the subscription runs."""
        code, lonely = scratch.own_code(), bots.lonely_bot()
        subscription = bots.subscription(f"Task?code={code}", f"Bot/{lonely['id']}")
        membership = super_admin.create(
            {**membership_of(bots, lonely), "meta": {"project": bots.clinic.id}}
        )
        bots.keep(f"ProjectMembership/{membership['id']}")
        bots.task(code)
        scratch.wait_for_runs(bots.admin, f"Subscription/{subscription['id']}")

    def test_an_admin_changes_the_policy_and_the_profile(self, bots: Scratch) -> None:
        """PATCH by an admin: accessPolicy and profile are kept, project and user restored."""
        bot, lonely = bots.bot(), bots.lonely_bot()
        policy = bots.create({"resourceType": "AccessPolicy", "name": projects.unique("policy")})
        (membership,) = bots.memberships(bot["id"])
        changed = {
            **membership,
            "accessPolicy": {"reference": f"AccessPolicy/{policy['id']}"},
            "user": {"reference": f"Bot/{lonely['id']}"},
            "profile": {"reference": f"Bot/{lonely['id']}"},
        }
        after = bots.admin.update(changed)
        assert after["accessPolicy"]["reference"] == f"AccessPolicy/{policy['id']}"
        assert after["profile"]["reference"] == f"Bot/{lonely['id']}"
        assert after["user"]["reference"] == f"Bot/{bot['id']}"

    def test_bot_init_makes_one(self, bots: Scratch) -> None:
        """`POST /fhir/R4/Bot/$init` makes a membership too."""
        parameter = [{"name": "name", "valueString": projects.unique("bot")}]
        answer = bots.admin.post(
            "fhir/R4/Bot/$init", json={"resourceType": "Parameters", "parameter": parameter}
        )
        bot = medplum.expect(answer, CODES.CREATED)
        bots.keep_bot(bot["id"])
        assert len(bots.memberships(bot["id"])) == 1

    def test_a_deleted_bot_leaves_its_traces(self, bots: Scratch) -> None:
        """Deleting a Bot leaves its membership and an active Subscription."""
        bot = bots.bot()
        subscription = bots.subscription("Task", f"Bot/{bot['id']}")
        medplum.expect(bots.admin.delete(f"fhir/R4/Bot/{bot['id']}"))
        assert len(bots.memberships(bot["id"])) == 1
        assert bots.admin.read(f"Subscription/{subscription['id']}")["status"] == "active"


class TestValidation:
    """What the server does not check, so that the client must."""

    @pytest.mark.parametrize(
        "fields",
        [
            {"name": "live", "runtimeVersion": "no-such-runtime"},
            {"runtimeVersion": "vmcontext"},
            {
                "name": "live",
                "runtimeVersion": "vmcontext",
                "executableCode": {"url": f"Binary/{uuid.UUID(int=0)}"},
            },
        ],
        ids=["runtime", "no-name", "dangling-binary"],
    )
    def test_what_is_not_checked(self, made: Scratch, fields: Json) -> None:
        """An unknown runtime, no name, code that is not there: 201."""
        bot = made.create({"resourceType": "Bot", **fields})
        assert {key: bot.get(key) for key in fields} == fields

    def test_an_unknown_property_is_refused(self, admin: Session) -> None:
        """An unknown property: 400, with its path."""
        answer = admin.post("fhir/R4/Bot", json={"resourceType": "Bot", "wrong": 1})
        assert answer.status_code == CODES.BAD_REQUEST
        (issue,) = issues(answer)
        assert issue["code"] == "structure"
        assert issue["details"]["text"] == 'Invalid additional property "wrong"'
        assert issue["expression"] == ["Bot.wrong"]

    def test_an_invariant_is_enforced(self, made: Scratch) -> None:
        """FHIR invariants hold: a Condition in error with a clinicalStatus is 400."""
        patient = made.create({"resourceType": "Patient"})
        terms = "http://terminology.hl7.org/CodeSystem/condition-"
        condition = {
            "resourceType": "Condition",
            "subject": {"reference": f"Patient/{patient['id']}"},
            "clinicalStatus": coded(f"{terms}clinical", "active"),
            "verificationStatus": coded(f"{terms}ver-status", "entered-in-error"),
        }
        answer = made.admin.post("fhir/R4/Condition", json=condition)
        assert answer.status_code == CODES.BAD_REQUEST
        assert "con-5" in answer.text

    def test_an_empty_search_has_no_entry(self, admin: Session) -> None:
        """An empty search has no `entry`; `total` comes only with `_total=accurate`."""
        query = f"fhir/R4/Bot?name={uuid.uuid4()}"
        bundle = medplum.expect(admin.get(query))
        assert not {"entry", "total"} & set(bundle)
        assert medplum.expect(admin.get(f"{query}&_total=accurate"))["total"] == 0

    def test_an_unknown_search_parameter_is_refused(self, admin: Session) -> None:
        """An unknown search parameter: 400."""
        answer = admin.get("fhir/R4/Bot?foo=bar")
        assert answer.status_code == CODES.BAD_REQUEST
        assert medplum.text_of(answer) == "Unknown search parameter: foo"


def author(session: Session, resource: Json) -> str:
    """Return whom the server holds for the author of a resource."""
    read = session.read(f"{resource['resourceType']}/{resource['id']}", EXTENDED)
    return str(read["meta"]["author"]["reference"])


def coded(system: str, code: str) -> Json:
    """Return a CodeableConcept of one coding."""
    return {"coding": [{"system": system, "code": code}]}


def issues(answer: httpx.Response) -> list[Json]:
    """Return the issues of an OperationOutcome."""
    found: list[Json] = answer.json()["issue"]
    return found


def membership_of(made: Scratch, bot: Json) -> Json:
    """Return the ProjectMembership that a bot should have."""
    return {
        "resourceType": "ProjectMembership",
        "project": {"reference": f"Project/{made.clinic.id}"},
        "user": {"reference": f"Bot/{bot['id']}"},
        "profile": {"reference": f"Bot/{bot['id']}"},
    }
