"""The pages that lead a user through the main job, run as they stand."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from tests.live import test_desk as desk
from tests.live.scratch import Scratch
from tests.live.stage import Stage
from tests.support import docs

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial/your-own-medplum.md"])
def test_each_command_of_the_page_works_in_its_order(page: str, stage: Stage) -> None:
    """Whoever types what the page says, on a project fresh from the server, ends green."""
    owner = stage.clinic.login
    medbots = stage.medbots.having(
        MEDPLUM_EMAIL=owner.email,
        MEDPLUM_PASSWORD=owner.password,
        MEDPLUM_PROJECT=stage.clinic.id,
        MEDPLUM_ACCESS_TOKEN=None,
    )
    commands = docs.commands(ROOT / page)
    assert commands[-1] == "medbots verify"
    for command in commands:
        medbots(*command.split()[1:]).expect()


@desk.having("rag-pipeline", "command-processor", "approval-queue")
def test_each_command_at_the_terminal_works(deployed: Stage, records: Scratch) -> None:
    """A doctor who types what the page says, about a patient and a Task, meets no error."""
    patient = records.create({"resourceType": "Patient", "birthDate": "1960-01-01"})
    command = {
        "command": "ProposeProblemListUpdate",
        "patientId": patient["id"],
        "confidence": 0.8,
        "parameters": {"action": "add", "condition": desk.HYPERTENSION},
    }
    args = ("bot", "exec", "command-processor", "--input", "-", "--raw")
    task = deployed.medbots(*args, stdin=json.dumps(command)).expect().json["taskId"]
    member = records.member()
    records.create(desk.role_of(member, "doctor"))
    doctor = desk.as_member(deployed, member)
    names = {"PATIENT": str(patient["id"]), "TASK": str(task)}
    for line in docs.commands(ROOT / "docs/how-to/at-the-terminal.md"):
        doctor(*(names.get(word, word) for word in shlex.split(line)[1:])).expect()
