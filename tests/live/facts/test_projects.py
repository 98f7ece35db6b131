"""Facts of projects: features, who may set them, and who sees what of which project."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import httpx
import pytest

from tests.live import medplum, polling, projects, scratch
from tests.live.medplum import EXTENDED, Session
from tests.live.projects import Clinic
from tests.live.scratch import Scratch

CODES = httpx.codes
NOT_ENABLED = "Bots not enabled"

# Left out: that `Project/$init` with an unknown ownerEmail is 400 `fetch failed` without internet
# (with it, the answer is another).


class TestFeature:
    """The project feature `bots`, without which everything answers well and nothing runs."""

    def test_without_it_nothing_runs(self, new_project: Callable[..., Clinic]) -> None:
        """`$execute` and `$deploy` are 400 `Bots not enabled`; a subscription runs nothing.

        Its Subscription stays active; an AuditEvent of outcome 4 is all that tells.
        """
        clinic = new_project("featureless")
        code = "exports.handler = async () => 'ran';\n"
        with scratch.of(clinic) as made:
            bot = made.bot(None)
            url = made.binary(code.encode())
            read = made.admin.read(f"Bot/{bot['id']}")
            executable = {"contentType": "application/javascript", "url": url}
            made.admin.update({**read, "executableCode": executable})
            deployed = made.admin.post(f"fhir/R4/Bot/{bot['id']}/$deploy", json={"code": code})
            for answer in (made.admin.execute(bot["id"]), deployed):
                assert answer.status_code == CODES.BAD_REQUEST
                assert medplum.text_of(answer) == NOT_ENABLED

            subscription = made.subscription("Task", f"Bot/{bot['id']}")
            made.create(scratch.task("any"))
            (run,) = scratch.wait_for_runs(made.admin, f"Subscription/{subscription['id']}")
            assert (run["outcome"], run["outcomeDesc"]) == ("4", NOT_ENABLED)
            assert made.admin.read(f"Subscription/{subscription['id']}")["status"] == "active"

    def test_a_bot_with_code_is_left_behind(self, new_project: Callable[..., Clinic]) -> None:
        """The admin's endpoint with code: 400 `Bots not enabled`, but Bot and membership stay."""
        clinic = new_project("featureless")
        name = projects.unique("bot")
        body = {"name": name, "executableCode": scratch.attachment(scratch.ECHO)}
        answer = clinic.admin.post(f"admin/projects/{clinic.id}/bot", json=body)
        assert answer.status_code == CODES.BAD_REQUEST
        assert medplum.text_of(answer) == NOT_ENABLED
        (left,) = clinic.admin.find("Bot")
        assert left["name"] == name
        memberships = clinic.admin.find(f"ProjectMembership?profile=Bot/{left['id']}")
        assert len(memberships) == 1
        without = clinic.admin.post(f"admin/projects/{clinic.id}/bot", json={"name": name})
        assert without.status_code == CODES.CREATED

    def test_a_new_project_has_no_feature(
        self, new_project: Callable[..., Clinic], super_admin: Session
    ) -> None:
        """`Project/$init` gives no feature, and strictMode."""
        project = super_admin.read(f"Project/{new_project('new').id}")
        assert "features" not in project
        assert project["strictMode"] is True

    def test_the_seeded_project_lacks_it(self, super_admin: Session) -> None:
        """The seeded super admin project was made without feature `bots`."""
        me = medplum.expect(super_admin.get("auth/me"))
        history = super_admin.find(f"Project/{me['project']['id']}/_history")
        assert "bots" not in history[-1].get("features", [])

    def test_a_patch_replaces_the_list(
        self, new_project: Callable[..., Clinic], super_admin: Session
    ) -> None:
        """A super admin's PATCH of `/features` replaces the list."""
        clinic = new_project("features", "cron", "email")
        projects.set_features(super_admin, clinic.id, ["bots"])
        assert super_admin.read(f"Project/{clinic.id}")["features"] == ["bots"]

    @pytest.mark.parametrize("method", ["patch", "put"])
    def test_an_admin_is_ignored(
        self, clinic: Clinic, admin: Session, super_admin: Session, method: str
    ) -> None:
        """A project admin's PATCH or PUT of features answers 200 and changes nothing."""
        before = super_admin.read(f"Project/{clinic.id}")["features"]
        features = [*before, "cron"]
        if method == "patch":
            operations = [{"op": "add", "path": "/features", "value": features}]
            answer = admin.change(f"fhir/R4/Project/{clinic.id}", operations)
        else:
            project = admin.read(f"Project/{clinic.id}")
            answer = admin.put(
                f"fhir/R4/Project/{clinic.id}", json={**project, "features": features}
            )
        assert answer.status_code == CODES.OK
        assert super_admin.read(f"Project/{clinic.id}")["features"] == before


class TestProject:
    """What a login sees of projects."""

    def test_an_admin_reads_features_and_secrets(self, clinic: Clinic, admin: Session) -> None:
        """`GET Project/:id` gives name and features; superAdmin and strictMode are hidden."""
        project = admin.read(f"Project/{clinic.id}")
        assert project["name"] == clinic.name
        assert set(project.get("features", [])) == clinic.features
        assert not {"superAdmin", "systemSecret", "strictMode"} & set(project)

    def test_the_admin_route_shows_less(self, clinic: Clinic, admin: Session) -> None:
        """`GET /admin/projects/:pid` gives id and name, no features, whatever `:pid` is."""
        for project_id in (clinic.id, str(uuid.uuid4())):
            document = medplum.expect(admin.get(f"admin/projects/{project_id}"))
            assert set(document) == {"project"}
            assert set(document["project"]) <= {"id", "name", "secret", "site"}
            assert document["project"]["id"] == clinic.id

    def test_a_member_who_is_no_admin_is_refused(self, clinic: Clinic, made: Scratch) -> None:
        """A member who is no admin gets 403 on Project, ProjectMembership and /admin."""
        session = made.member().session
        for path in (
            f"fhir/R4/Project/{clinic.id}",
            "fhir/R4/ProjectMembership",
            f"admin/projects/{clinic.id}",
        ):
            assert session.get(path).status_code == CODES.FORBIDDEN

    def test_another_project_is_not_found(
        self, new_project: Callable[..., Clinic], made: Scratch
    ) -> None:
        """What another project holds is 404 to read, PUT and DELETE, and in no search."""
        other = new_project("other")
        patient = made.create({"resourceType": "Patient"})
        path = f"fhir/R4/Patient/{patient['id']}"
        for answer in (
            other.admin.get(f"fhir/R4/Project/{made.clinic.id}"),
            other.admin.get(path),
            other.admin.put(path, json={**patient, "active": True}),
            other.admin.delete(path),
        ):
            assert answer.status_code == CODES.NOT_FOUND
        assert other.admin.find(f"Patient?_id={patient['id']}") == []

    def test_a_super_admin_sees_every_project(
        self, new_project: Callable[..., Clinic], bots: Scratch, super_admin: Session
    ) -> None:
        """A super admin's search sees every project's bots; `_project` holds it to one."""
        other = new_project("other")
        name = projects.unique("bot")
        ids = {}
        for clinic in (bots.clinic, other):
            answer = clinic.admin.post(f"admin/projects/{clinic.id}/bot", json={"name": name})
            ids[clinic.id] = medplum.expect(answer, CODES.CREATED)["id"]
        bots.keep_bot(ids[bots.clinic.id])
        everywhere = super_admin.find(f"Bot?name:exact={name}")
        assert {each["id"] for each in everywhere} == set(ids.values())
        here = super_admin.find(f"Bot?name:exact={name}&_project={other.id}")
        assert [each["id"] for each in here] == [ids[other.id]]
        assert [each["id"] for each in other.admin.find("Bot")] == [ids[other.id]]

    def test_a_super_admin_reads_any_projects_binary(
        self, made: Scratch, super_admin: Session
    ) -> None:
        """Read directly, too; whose it is, is told with the header, and its bytes are given."""
        reference = made.binary(b"Lungs clear.", "text/plain")
        told = super_admin.read(reference, {**EXTENDED, "Accept": "application/fhir+json"})
        assert told["meta"]["project"] == made.clinic.id
        assert super_admin.get(f"fhir/R4/{reference}").content == b"Lungs clear."

    def test_meta_project_needs_a_header(self, bots: Scratch) -> None:
        """`meta.project` shows only with the header `X-Medplum: extended`."""
        bot_id = bots.bot()["id"]
        assert "project" not in bots.admin.read(f"Bot/{bot_id}")["meta"]
        (plain,) = bots.admin.find(f"Bot?_id={bot_id}")
        assert "project" not in plain["meta"]
        (extended,) = bots.admin.find(f"Bot?_id={bot_id}", EXTENDED)
        assert extended["meta"]["project"] == bots.clinic.id

    def test_anybody_may_make_a_project(self, super_admin: Session, made: Scratch) -> None:
        """Any user who is logged in may run `Project/$init`."""
        parameter = [{"name": "name", "valueString": projects.unique("theirs")}]
        login = projects.new_login()
        membership = projects.invite_login(made.clinic, login, scope="server")
        try:
            with made.admin.with_token(None) as nobody:
                token = medplum.sign_in(nobody, login)["access_token"]
            with made.admin.with_token(token) as session:
                answer = session.post(
                    "fhir/R4/Project/$init",
                    json={"resourceType": "Parameters", "parameter": parameter},
                )
            project = medplum.expect(answer, CODES.CREATED)
            assert "features" not in project
            expunge(super_admin, project["id"])
        finally:
            projects.remove_member(made.clinic, membership)
            for user in super_admin.find(f"User?email={login.email}"):
                super_admin.delete(f"fhir/R4/User/{user['id']}")

    def test_expunge_removes_a_project(
        self, new_project: Callable[..., Clinic], super_admin: Session
    ) -> None:
        """`Project/$expunge?everything=true` removes a project with what it holds."""
        clinic = new_project("doomed")
        patient = clinic.admin.create({"resourceType": "Patient"})
        expunge(super_admin, clinic.id)
        for reference in (f"Patient/{patient['id']}", f"Project/{clinic.id}"):
            path = f"fhir/R4/{reference}"

            def gone(path: str = path) -> bool:
                return super_admin.get(path).status_code in {CODES.NOT_FOUND, CODES.GONE}

            polling.until(gone, f"the end of {reference}")


def expunge(super_admin: Session, project_id: str) -> None:
    """Remove a project with everything in it."""
    answer = super_admin.post(f"fhir/R4/Project/{project_id}/$expunge?everything=true")
    assert answer.is_success
