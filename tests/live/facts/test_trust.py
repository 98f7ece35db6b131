"""Facts of trust: who can do what, and in whose name."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from tests.live import medplum, projects, scratch
from tests.live.medplum import EXTENDED, Json
from tests.live.projects import Clinic, Member
from tests.live.scratch import Scratch

CODES = httpx.codes
FORGED = {"reference": "Practitioner/00000000-0000-4000-8000-000000000000"}
ON_BEHALF_OF = "X-Medplum-On-Behalf-Of"
WHO = (
    "exports.handler = async (medplum, event) => ({ requester: event.requester.reference,"
    " claim: event.headers['x-medplum-on-behalf-of'],"
    " me: (await medplum.get('auth/me')).profile.id });\n"
)


@pytest.fixture
def member(made: Scratch) -> Member:
    """Somebody of the project without an AccessPolicy."""
    return made.member()


class TestNoPolicy:
    """A member without an AccessPolicy, who is no admin."""

    def test_they_deploy_over_any_bot(self, bots: Scratch) -> None:
        """They can `$deploy` over any bot: their code then runs as that bot."""
        bot_id, member = bots.bot(WHO)["id"], bots.member()
        code = (
            "exports.handler = async (medplum) =>"
            " ({ me: (await medplum.get('auth/me')).profile.id });\n"
        )
        answer = member.session.post(f"fhir/R4/Bot/{bot_id}/$deploy", json={"code": code})
        assert answer.status_code == CODES.OK
        assert medplum.expect(bots.admin.execute(bot_id)) == {"me": bot_id}

    def test_they_delete_audit_events(self, bots: Scratch) -> None:
        """They can delete AuditEvents."""
        bot_id, member = bots.bot()["id"], bots.member()
        bots.admin.execute(bot_id)
        (event,) = scratch.wait_for(bots.admin, f"AuditEvent?source=Bot/{bot_id}")
        assert member.session.delete(f"fhir/R4/AuditEvent/{event['id']}").status_code == CODES.OK
        assert bots.admin.find(f"AuditEvent?source=Bot/{bot_id}") == []


class TestPolicy:
    """What an AccessPolicy takes away."""

    @pytest.fixture
    def narrow(self, made: Scratch) -> Member:
        """Somebody who may read and search Patients, and read Bots."""
        policy = made.create(
            {
                "resourceType": "AccessPolicy",
                "name": projects.unique("narrow"),
                "resource": [
                    {"resourceType": "Patient", "interaction": ["read", "search"]},
                    {"resourceType": "Bot", "interaction": ["read", "search"]},
                ],
            }
        )
        return made.member(f"AccessPolicy/{policy['id']}")

    def test_what_it_names_is_allowed(self, made: Scratch, narrow: Member) -> None:
        """The interactions that it names are allowed."""
        patient = made.create({"resourceType": "Patient"})
        assert narrow.session.read(f"Patient/{patient['id']}")["id"] == patient["id"]
        assert len(narrow.session.find(f"Patient?_id={patient['id']}")) == 1

    def test_all_else_is_403(self, made: Scratch, narrow: Member) -> None:
        """What it does not name is 403: other types, other interactions, `$deploy`."""
        patient = made.create({"resourceType": "Patient"})
        bot_id = made.bot(None)["id"]
        path = f"fhir/R4/Patient/{patient['id']}"
        for answer in (
            narrow.session.get("fhir/R4/Observation"),
            narrow.session.put(path, json={**patient, "active": True}),
            narrow.session.delete(path),
            narrow.session.post("fhir/R4/Patient", json={"resourceType": "Patient"}),
            narrow.session.get(f"{path}/_history"),
        ):
            assert answer.status_code == CODES.FORBIDDEN
        deployed = narrow.session.post(
            f"fhir/R4/Bot/{bot_id}/$deploy", json={"code": "exports.handler = async () => 1;\n"}
        )
        assert deployed.status_code == CODES.FORBIDDEN
        assert "executableCode" not in made.admin.read(f"Bot/{bot_id}")

    def test_criteria_hold_to_some_resources(self, made: Scratch) -> None:
        """A policy's criteria hold a member to the resources that match: others are 404."""
        mine, other = (made.create({"resourceType": "Patient"})["id"] for _ in range(2))
        policy = made.create(
            {
                "resourceType": "AccessPolicy",
                "name": projects.unique("one patient"),
                "resource": [
                    {"resourceType": "Patient", "criteria": f"Patient?_id={mine}"},
                    {"resourceType": "Condition", "criteria": f"Condition?subject=Patient/{mine}"},
                ],
            }
        )
        session = made.member(f"AccessPolicy/{policy['id']}").session
        conditions = {
            patient: made.create(
                {"resourceType": "Condition", "subject": {"reference": f"Patient/{patient}"}}
            )["id"]
            for patient in (mine, other)
        }
        assert [each["id"] for each in session.find(f"Patient?_id={mine},{other}")] == [mine]
        assert [each["id"] for each in session.find("Condition")] == [conditions[mine]]
        assert session.get(f"fhir/R4/Condition/{conditions[mine]}").status_code == CODES.OK
        assert session.get(f"fhir/R4/Condition/{conditions[other]}").status_code == CODES.NOT_FOUND

    def test_it_binds_a_bot(self, bots: Scratch) -> None:
        """A bot's policy binds what the bot does: a search it does not name is Forbidden."""
        policy = bots.create(
            {
                "resourceType": "AccessPolicy",
                "name": projects.unique("bot"),
                "resource": [{"resourceType": "Patient", "interaction": ["search"]}],
            }
        )
        code = (
            "exports.handler = async (medplum) => {"
            " await medplum.search('Patient', '_count=1');"
            " try { await medplum.search('Observation', '_count=1'); return 'allowed'; }"
            " catch (error) { return error.outcome.id; } };\n"
        )
        bot = bots.bot(code, accessPolicy={"reference": f"AccessPolicy/{policy['id']}"})
        assert bots.admin.execute(bot["id"]).text == "forbidden"


class TestRunAsUser:
    """`Bot.runAsUser`."""

    @pytest.mark.parametrize("as_user", [True, False])
    def test_whose_rights_it_has(self, bots: Scratch, as_user: bool) -> None:
        """With it, the bot acts as its caller; without, as itself."""
        bot_id, member = bots.bot(WHO)["id"], bots.member()
        bots.admin.update({**bots.admin.read(f"Bot/{bot_id}"), "runAsUser": as_user})
        seen = medplum.expect(member.session.execute(bot_id))
        assert seen["requester"] == member.profile
        assert seen["me"] == (member.profile.split("/")[1] if as_user else bot_id)


class TestOnBehalfOf:
    """The header `X-Medplum-On-Behalf-Of`."""

    @pytest.mark.parametrize("by", ["profile", "membership"])
    def test_an_admin_becomes_the_requester(self, bots: Scratch, by: str) -> None:
        """From a project admin it changes `event.requester` and whom `runAsUser` means."""
        bot_id, member = bots.bot(WHO)["id"], bots.member()
        bots.admin.update({**bots.admin.read(f"Bot/{bot_id}"), "runAsUser": True})
        claim = {
            "profile": member.profile,
            "membership": f"ProjectMembership/{member.membership['id']}",
        }[by]
        answer = bots.admin.post(
            f"fhir/R4/Bot/{bot_id}/$execute", json={}, headers={ON_BEHALF_OF: claim}
        )
        assert medplum.expect(answer) == {
            "requester": member.profile,
            "claim": claim,
            "me": member.profile.split("/")[1],
        }

    def test_others_are_refused(self, made: Scratch, member: Member) -> None:
        """From anybody else it is 403."""
        headers = {ON_BEHALF_OF: made.member().profile}
        answer = member.session.get("fhir/R4/Patient", headers=headers)
        assert answer.status_code == CODES.FORBIDDEN

    def test_the_author_stays_the_person(self, made: Scratch, member: Member) -> None:
        """On a FHIR write meta.author stays the real person, and meta.onBehalfOf is set."""
        answer = made.admin.post(
            "fhir/R4/Patient",
            json={"resourceType": "Patient"},
            headers={ON_BEHALF_OF: member.profile},
        )
        patient = made.keep(f"Patient/{medplum.expect(answer, CODES.CREATED)['id']}")
        meta = made.admin.read(patient, EXTENDED)["meta"]
        me = medplum.expect(made.admin.get("auth/me"))["profile"]["id"]
        assert meta["author"]["reference"] == f"Practitioner/{me}"
        assert meta["onBehalfOf"]["reference"] == member.profile

    def test_only_the_header_shows_it(self, bots: Scratch) -> None:
        """Without the header, `event.headers` has no such entry."""
        seen = medplum.expect(bots.admin.execute(bots.bot(WHO)["id"]))
        assert "claim" not in seen


class TestAuthor:
    """`meta.author`."""

    def test_a_project_admin_cannot_set_it(self, made: Scratch) -> None:
        """A project admin's meta.author is replaced by their own."""
        patient = made.create({"resourceType": "Patient", "meta": {"author": FORGED}})
        assert author(made, patient) != FORGED["reference"]

    def test_a_super_admin_can(self, made: Scratch, super_admin: medplum.Session) -> None:
        """A super admin's meta.author is kept."""
        meta = {"author": FORGED, "project": made.clinic.id}
        patient = super_admin.create({"resourceType": "Patient", "meta": meta})
        made.keep(f"Patient/{patient['id']}")
        assert author(made, patient) == FORGED["reference"]

    def test_every_version_has_its_own(self, made: Scratch, member: Member) -> None:
        """The history says who wrote each version."""
        patient = made.create({"resourceType": "Patient"})
        member.session.update({**patient, "active": True})
        bundle = medplum.expect(
            made.admin.get(f"fhir/R4/Patient/{patient['id']}/_history", headers=EXTENDED)
        )
        authors = [each["resource"]["meta"]["author"]["reference"] for each in bundle["entry"]]
        me = medplum.expect(made.admin.get("auth/me"))["profile"]["id"]
        assert authors == [member.profile, f"Practitioner/{me}"]


class TestProjectSecrets:
    """Who reads the secrets of a project."""

    def test_a_member_reads_them_only_through_code(
        self, new_project: Callable[..., Clinic]
    ) -> None:
        """403 on the Project; but code that they deploy sees every secret."""
        clinic = new_project("secrets", "bots")
        secret = [{"name": "LIVE", "valueString": "seen"}]
        medplum.expect(clinic.admin.post(f"admin/projects/{clinic.id}/secrets", json=secret))
        with scratch.of(clinic) as made:
            member, bot_id = made.member(), made.bot()["id"]
            assert member.session.get(f"fhir/R4/Project/{clinic.id}").status_code == CODES.FORBIDDEN
            code = "exports.handler = async (medplum, event) => event.secrets.LIVE.valueString;\n"
            member.session.post(f"fhir/R4/Bot/{bot_id}/$deploy", json={"code": code})
            assert member.session.execute(bot_id).text == "seen"


def author(made: Scratch, resource: Json) -> str:
    """Return whom the server holds for the author of a resource."""
    read = made.admin.read(f"{resource['resourceType']}/{resource['id']}", EXTENDED)
    return str(read["meta"]["author"]["reference"])
