"""`verify` on who may approve, and on memberships that a deleted bot left."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.live import medplum, projects
from tests.live.medplum import Json
from tests.live.scratch import Scratch
from tests.live.stage import Stage

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial" / "your-own-medplum.md"


def seen(stage: Stage, only: str) -> dict[str, Json]:
    """Return what the checks that match saw, by id."""
    document = stage.medbots.json("verify", "--only", only)
    return {each["id"]: each for each in document["checks"]}


def typed_from_the_page(records: Scratch, who: str, code: str, folder: Path) -> str:
    """Do what step 6 of the tutorial says, for `who` and `code`; return the PractitionerRole."""
    page = TUTORIAL.read_text(encoding="utf-8").partition("## 6. Who may approve")[2]
    (block,) = re.findall(r"^```json\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    role = block.replace("Practitioner/ID", who).replace('"doctor"', f'"{code}"')
    (folder / "role.json").write_text(role, encoding="utf-8")
    lines = [one for one in page.splitlines() if one.startswith("    ")]
    clinic = records.clinic
    made = medplum.expect(
        clinic.admin.post(
            f"admin/projects/{clinic.id}/client", json={"name": projects.unique("client")}
        ),
        201,
    )
    profile = records.keep(f"ClientApplication/{made['id']}")
    for membership in clinic.admin.find(f"ProjectMembership?profile={profile}"):
        records.keep(f"ProjectMembership/{membership['id']}")
    environ = {
        "PATH": os.environ["PATH"],
        "MEDPLUM_BASE_URL": str(clinic.admin.base_url),
        "MEDPLUM_CLIENT_ID": made["id"],
        "MEDPLUM_CLIENT_SECRET": made["secret"],
    }
    ended = subprocess.run(
        ["/bin/sh", "-c", "\n".join(lines)],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    written: Json = json.loads(ended.stdout)
    assert written["resourceType"] == "PractitionerRole", written
    return records.keep(f"PractitionerRole/{written['id']}")


@pytest.mark.skipif(shutil.which("curl") is None, reason="the page's command is curl")
def test_who_may_approve(deployed: Stage, records: Scratch, tmp_path: Path) -> None:
    """From nobody to two people, each by the command that the warning leads to."""
    before = seen(deployed, "approvals.*")
    assert {each["status"] for each in before.values()} == {"warn"}
    assert before["approvals.approvers"]["observed"] == "nobody may approve"
    doctor, pharmacist = records.member(), records.member()
    typed_from_the_page(records, doctor.profile, "doctor", tmp_path)
    one = seen(deployed, "approvals.*")
    assert one["approvals.approvers"]["observed"] == "1 practitioner"
    assert one["approvals.second-person"]["observed"] == "no pharmacist may approve"
    role = typed_from_the_page(records, pharmacist.profile, "pharmacist", tmp_path)
    assert {each["status"] for each in seen(deployed, "approvals.*").values()} == {"pass"}
    records.admin.update({**records.admin.read(role), "active": False})
    assert seen(deployed, "approvals.*")["approvals.second-person"]["status"] == "warn"


def test_who_is_inactive_or_no_member_approves_nothing(deployed: Stage, records: Scratch) -> None:
    """A role of somebody who left, or who never could log in, is no approver."""
    member = records.member()
    person = records.admin.read(member.profile)
    records.admin.update({**person, "active": False})
    stranger = records.create({"resourceType": "Practitioner"})
    for who in (member.profile, f"Practitioner/{stranger['id']}"):
        records.create(
            {
                "resourceType": "PractitionerRole",
                "active": True,
                "practitioner": {"reference": who},
                "code": [
                    {
                        "coding": [
                            {
                                "system": "http://terminology.hl7.org/CodeSystem/practitioner-role",
                                "code": "doctor",
                            }
                        ]
                    }
                ],
            }
        )
    assert seen(deployed, "approvals.*")["approvals.approvers"]["status"] == "warn"
    records.admin.update({**records.admin.read(member.profile), "active": True})
    assert seen(deployed, "approvals.*")["approvals.approvers"]["status"] == "pass"


def test_the_membership_of_a_deleted_bot(deployed: Stage, records: Scratch) -> None:
    """A Bot deleted by hand leaves its membership: a warning names it, and deleting it cures."""
    name = "memberships.orphaned"
    assert seen(deployed, name)[name]["status"] == "pass"
    bot = records.bot()
    (membership,) = records.memberships(bot["id"])
    records.admin.delete(f"fhir/R4/Bot/{bot['id']}")
    result = seen(deployed, name)[name]
    assert (result["status"], result["severity"]) == ("warn", "warning")
    assert result["fix"] == f"delete ProjectMembership/{membership['id']}"
    records.admin.delete(f"fhir/R4/ProjectMembership/{membership['id']}")
    assert seen(deployed, name)[name]["status"] == "pass"
