"""The Semantic Search Bot on a running server: who finds what, and who finds nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.live import medplum, polling, projects
from tests.live import stage as stage_module
from tests.live.medplum import Json, Session
from tests.live.projects import Clinic
from tests.live.scratch import Scratch
from tests.live.stage import Stage
from tests.live.test_embedding import condition

QUESTION = "bronchial asthma with wheezing"
ASTHMA = "Bronchial asthma with nocturnal wheezing"
FRACTURE = "Fracture of the left wrist"
NOBODY = "00000000-0000-4000-8000-000000000000"


@dataclass(frozen=True)
class Records:
    """Two patients: one has asthma and a fracture, the other asthma."""

    mine: Json
    other: Json
    asthma: Json
    fracture: Json
    others_asthma: Json


@pytest.fixture(scope="module")
def known(deployed: Stage) -> Iterator[Records]:
    """Records of two patients, with their vectors."""
    with stage_module.records(deployed) as made:
        mine, other = (made.create({"resourceType": "Patient"}) for _ in range(2))
        conditions = [
            made.create(condition(patient, text))
            for patient, text in ((mine, ASTHMA), (mine, FRACTURE), (other, ASTHMA))
        ]
        for each in conditions:
            deployed.wait_for_rows(each)
        yield Records(mine, other, *conditions)


def search(stage: Stage, session: Session, **body: object) -> Json:
    """Run the Semantic Search Bot as somebody."""
    question = {"query": QUESTION, "minSimilarity": 0.1, **body}
    bot = stage.bot("semantic-search")["id"]
    answer: Json = medplum.expect(session.execute(bot, question))
    return answer


def ids(answer: Json) -> list[str]:
    """Return the ids of what was found, best first."""
    assert answer["success"] is True, answer
    return [each["resourceId"] for each in answer["results"]]


class TestFound:
    """What an admin, who is a Practitioner, finds."""

    def test_the_answer_has_its_shape(self, deployed: Stage, known: Records) -> None:
        """Type, id, patient, similarity and text of each hit; how long it took."""
        answer = search(deployed, deployed.clinic.admin, patientId=known.mine["id"])
        assert set(answer) >= {
            "success",
            "results",
            "queryEmbeddingGenerated",
            "searchDurationMs",
            "filteredCount",
        }
        assert answer["queryEmbeddingGenerated"] is True
        best = answer["results"][0]
        assert set(best) >= {
            "resourceType",
            "resourceId",
            "patientId",
            "similarity",
            "matchedText",
        }
        assert (best["resourceType"], best["resourceId"]) == ("Condition", known.asthma["id"])
        assert best["patientId"] == known.mine["id"]
        assert 0 < best["similarity"] <= 1
        assert ASTHMA in best["matchedText"]

    def test_the_best_comes_first(self, deployed: Stage, known: Records) -> None:
        """Hits are sorted by similarity, and a resource comes once."""
        answer = search(deployed, deployed.clinic.admin, minSimilarity=0)
        similarities = [each["similarity"] for each in answer["results"]]
        assert similarities == sorted(similarities, reverse=True)
        found = ids(answer)
        assert len(found) == len(set(found))
        assert set(found[:2]) == {known.asthma["id"], known.others_asthma["id"]}

    def test_a_patient_is_a_limit(self, deployed: Stage, known: Records) -> None:
        """With a patient, nothing of another is found."""
        answer = search(
            deployed, deployed.clinic.admin, patientId=known.other["id"], minSimilarity=0
        )
        assert ids(answer) == [known.others_asthma["id"]]

    def test_limit_and_similarity(self, deployed: Stage, known: Records) -> None:
        """`limit` and `minSimilarity` are kept."""
        one = search(deployed, deployed.clinic.admin, limit=1, minSimilarity=0)
        assert len(ids(one)) == 1
        close = search(deployed, deployed.clinic.admin, minSimilarity=0.99)
        assert all(each["similarity"] >= 0.99 for each in close["results"])
        assert known.fracture["id"] not in ids(close)

    def test_a_type_is_a_limit(self, deployed: Stage, known: Records) -> None:
        """`resourceTypes` leaves the others out."""
        answer = search(
            deployed, deployed.clinic.admin, resourceTypes=["Observation"], minSimilarity=0
        )
        assert ids(answer) == []

    def test_a_deleted_record_is_not_found(
        self, deployed: Stage, known: Records, records: Scratch
    ) -> None:
        """What is deleted is found no more."""
        made = records.create(condition(known.mine, ASTHMA))
        deployed.wait_for_rows(made)
        assert made["id"] in ids(search(deployed, deployed.clinic.admin))
        records.admin.delete(f"fhir/R4/Condition/{made['id']}")
        polling.until(lambda: deployed.rows(made) == [], "the rows to go")
        assert made["id"] not in ids(search(deployed, deployed.clinic.admin))

    def test_what_changed_meanwhile_is_dropped(
        self, deployed: Stage, known: Records, records: Scratch
    ) -> None:
        """A row that no longer stands for its record is re-read and left out, not shown."""
        made = records.create(condition(known.mine, ASTHMA))
        (row,) = deployed.wait_for_rows(made)
        with deployed.database() as connection:
            connection.execute(
                "UPDATE clinical_embeddings SET version_id = 'stale' WHERE id = %s", (row["id"],)
            )
        assert made["id"] not in ids(search(deployed, deployed.clinic.admin))


class TestRights:
    """Who may not read a record does not find it."""

    @pytest.fixture
    def narrow(self, deployed: Stage, records: Scratch, known: Records) -> Session:
        """Somebody who may read the Conditions of one patient, and run bots."""
        patient = f"Patient/{known.mine['id']}"
        rules = [
            {"resourceType": "Patient", "criteria": f"Patient?_id={known.mine['id']}"},
            {"resourceType": "Condition", "criteria": f"Condition?subject={patient}"},
            {"resourceType": "Bot", "interaction": ["read", "search"]},
        ]
        policy = records.create(
            {
                "resourceType": "AccessPolicy",
                "name": projects.unique("narrow"),
                "resource": rules,
            }
        )
        return records.member(f"AccessPolicy/{policy['id']}").session

    def test_only_what_they_may_read(
        self, deployed: Stage, known: Records, narrow: Session
    ) -> None:
        """Without a patient in the question: their patient's records alone."""
        found = ids(search(deployed, narrow, minSimilarity=0))
        assert known.asthma["id"] in found
        assert known.others_asthma["id"] not in found

    def test_nothing_of_the_other_patient(
        self, deployed: Stage, known: Records, narrow: Session
    ) -> None:
        """Asked for the other patient: nothing, and no word of their text."""
        answer = search(deployed, narrow, patientId=known.other["id"], minSimilarity=0)
        nobody = search(deployed, narrow, patientId=NOBODY, minSimilarity=0)
        assert answer["errorCode"] == "PATIENT_NOT_FOUND"
        assert "results" not in answer
        assert ASTHMA not in str(answer)
        # Nor whether there is one.
        assert str(answer).replace(known.other["id"], NOBODY) == str(nobody)

    def test_who_may_not_read_the_bot_cannot_run_it(
        self, deployed: Stage, records: Scratch, known: Records
    ) -> None:
        """Somebody whose policy does not name Bots is refused by the server."""
        policy = records.create(
            {
                "resourceType": "AccessPolicy",
                "name": projects.unique("none"),
                "resource": [{"resourceType": "Patient", "interaction": ["read"]}],
            }
        )
        session = records.member(f"AccessPolicy/{policy['id']}").session
        bot = deployed.bot("semantic-search")["id"]
        assert session.execute(bot, {"query": QUESTION}).status_code == httpx.codes.FORBIDDEN


class TestTwoProjects:
    """Two projects in one database."""

    @pytest.fixture
    def second(
        self, deployed: Stage, new_project: Callable[..., Clinic], tmp_path: Path
    ) -> Iterator[Stage]:
        """Another project, with bots of its own on the same database."""
        clinic = new_project("second", "bots")
        with stage_module.of(clinic, deployed.target, tmp_path) as other:
            other.deploy()
            yield other

    def test_neither_sees_the_others_rows(
        self, deployed: Stage, known: Records, second: Stage
    ) -> None:
        """Each finds its own records, and nothing of the other's."""
        with stage_module.records(second) as made:
            patient = made.create({"resourceType": "Patient"})
            theirs = made.create(condition(patient, ASTHMA))
            second.wait_for_rows(theirs)
            assert ids(search(second, second.clinic.admin, minSimilarity=0)) == [theirs["id"]]
            ours = ids(search(deployed, deployed.clinic.admin, minSimilarity=0, limit=50))
            assert theirs["id"] not in ours
            asked = search(second, second.clinic.admin, patientId=known.mine["id"])
            assert asked["errorCode"] == "PATIENT_NOT_FOUND"


class TestBadInput:
    """What is refused, and how."""

    @pytest.mark.parametrize(
        "body",
        [
            {"limit": 0},
            {"limit": 51},
            {"limit": "ten"},
            {"query": ""},
            {"query": None},
            {"minSimilarity": 2},
            {"resourceTypes": ["Foo"]},
            {"patientId": "not an id"},
            {"dateRange": {"start": "yesterday"}},
        ],
        ids=lambda body: "-".join(f"{key}-{value}" for key, value in body.items())[:24],
    )
    def test_it_is_invalid_input(self, deployed: Stage, known: Records, body: Json) -> None:
        """`success: false`, INVALID_INPUT, and a message that names the field."""
        answer = search(deployed, deployed.clinic.admin, **body)
        assert (answer["success"], answer["errorCode"]) == (False, "INVALID_INPUT")
        assert next(iter(body)) in answer["message"]


class TestLeastPrivilege:
    """What the bots themselves may do."""

    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("GET", "Patient", None),
            ("GET", "ProjectMembership", None),
            ("POST", "Condition", {"resourceType": "Condition"}),
            ("POST", "Bot", {"resourceType": "Bot", "name": "live"}),
            ("DELETE", "AuditEvent/{event}", None),
            ("DELETE", "Condition/{condition}", None),
        ],
        ids=["patients", "memberships", "write", "bots", "audit-trail", "delete"],
    )
    def test_the_embedding_bot(
        self,
        deployed: Stage,
        known: Records,
        records: Scratch,
        method: str,
        path: str,
        body: Json | None,
    ) -> None:
        """Its policy lets it read five types and write AuditEvents: all else is 403.

        A bot of the test with the same policy stands for it.
        """
        admin = deployed.clinic.admin
        query = f"AccessPolicy?_tag={deployed.namespace}/policy|embedding"
        (policy,) = admin.find(query)
        code = (
            "exports.handler = async (medplum, event) => {\n"
            "  const { method, url, body } = event.input;\n"
            "  const headers = { Authorization: 'Bearer ' + medplum.getAccessToken(),\n"
            "    'Content-Type': 'application/json' };\n"
            "  const answer = await fetch(medplum.getBaseUrl() + 'fhir/R4/' + url,\n"
            "    { method, headers, body: body && JSON.stringify(body) });\n"
            "  return { status: answer.status };\n"
            "};\n"
        )
        reference = {"reference": f"AccessPolicy/{policy['id']}"}
        bot = records.bot(code, accessPolicy=reference)
        (event, *_) = admin.find("AuditEvent?_count=1")
        url = path.format(event=event["id"], condition=known.fracture["id"])
        asked = {"method": method, "url": url, "body": body}
        assert medplum.expect(admin.execute(bot["id"], asked)) == {"status": 403}
        allowed = {"method": "GET", "url": f"Condition/{known.fracture['id']}"}
        assert medplum.expect(admin.execute(bot["id"], allowed)) == {"status": 200}
