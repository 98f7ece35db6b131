"""Search criteria: what the server's matcher evaluates is accepted, everything else is refused."""

from __future__ import annotations

import pytest

from medbots.manifest import criteria

ACCEPTED = [
    "Task",
    "Task?code=ai-approval",
    "Task?code=http://example.org/codes|ai-approval&status=requested,ready",
    "Task?code=http://example.org/codes|",
    "Task?code=|ai-approval",
    "Task?status:not=completed",
    "Task?status=Ready",
    "Task?status=|ready",
    "Task?owner:missing=true",
    "Task?identifier=urn:uuid:6f1d3c1e-0d5c-4b1a-9a0e-3f4c1e0d5c4b",
    "Task?patient=Patient/123",
    "Task?patient=https://elsewhere.example/Patient/1",
    "Patient?name=smith",
    "Patient?name:contains=smith",
    "Observation?date=ge2020-01-01",
    "Observation?date=2020-01-01T10:00:00%2B02:00",
    "Observation?value-quantity:missing=false",
    "Encounter?_lastUpdated=gt2024&_tag=urn:medbots|x&_compartment=123",
    "QuestionnaireResponse?questionnaire=https://example.org/Questionnaire/intake",
]

REFUSED = {
    "": "'' is no resource type",
    "task": "'task' is no resource type; did you mean 'Task'?",
    "Foo": "'Foo' is no resource type",
    "/Task": "begin with the resource type, without a path",
    "fhir/R4/Task": "begin with the resource type, without a path",
    "Task?": "nothing follows the `?`",
    "Task? status=ready": "holds a space",
    "Task?code=http://a?b|c": "the server drops everything after a second `?`",
    "Task?foo=bar": "Task has no search parameter 'foo'",
    "Task?sttaus=ready": "Task has no search parameter 'sttaus'; did you mean 'status'?",
    "Binary?_id=1": "Binary has no search parameter '_id'",
    "AuditEvent": "the server runs no subscription for AuditEvent",
    "Task?patient.name=x": "patient.name: a chain, which subscriptions cannot follow",
    "Task?patient:Patient.name=x": "patient:Patient.name: a chain",
    "Patient?_has:Observation:patient:code=x": "a chain, which subscriptions cannot follow",
    "Task?_sort=_lastUpdated": "_sort: shapes the result of a search",
    "Task?_count=10": "_count: shapes the result of a search",
    "Observation?value-quantity=gt5": "a quantity parameter, which subscriptions cannot compare",
    "Observation?code-value-quantity=a$b": "a composite parameter, which subscriptions cannot",
    "Task?priority-order=1": "a number parameter, which subscriptions cannot compare",
    "Task?status=": "status: no value; to ask whether it is there, write status:missing=false",
    "Task?status": "status: no value",
    "Task?status=ready,": "status: an empty value between commas",
    "Task?status=redy": "status: is never 'redy', but one of accepted, cancelled,",
    "Encounter?status=finishd": "triaged, unknown; did you mean 'finished'?",
    "Encounter?status=finished,donee": "status: is never 'donee'",
    "Encounter?status:not=over": "status: is never 'over'",
    "Task?status=http://hl7.org/fhir/task-status|ready": "has no system; write status=ready",
    "Task?owner:missing=yes": "owner:missing: expected true or false, got 'yes'",
    "Task?code=http://loinc.org": "write code=http://loinc.org|",
    "Task?code=urn:oid:1.2.3": "a system without a code matches nothing",
    "Task?code=a|b|c": "'a|b|c' has more than one `|`",
    "Task?code=|": "`|` alone matches nothing",
    "Task?code:in=http://example.org/vs": "code:in: subscriptions do not evaluate this modifier",
    "Task?code:text=x": "code:text: subscriptions do not evaluate this modifier",
    "Patient?name:exact=Smith": "name:exact: subscriptions do not evaluate this modifier",
    "Task?status:nto=ready": "only :not, :missing; did you mean 'not'?",
    "Task?patient=123": "'123' does not match on every server; write patient=Patient/<id>",
    "Task?patient:Patient=123": "not evaluated; write patient=Patient/123",
    "Task?patient=Pateint/123": "'Pateint' is no resource type; did you mean 'Patient'?",
    "Task?patient=Practitioner/1": "never refers to a Practitioner, only to Patient",
    "Observation?date=2020-01-01,2021-01-01": "date: subscriptions take one date, not a list",
    "Observation?date=yesterday": "'yesterday' is no date; 'ye' is no prefix, but one of eq, ne",
    "Observation?date=sw2020": "'sw2020' is no date; 'sw' is no prefix",
    "Observation?date=2020-13-01": "'2020-13-01' is no date",
    "Observation?date=2020-01-01T10:00:00+02:00": "write %2B for the + of a time zone",
    "Observation?date:not=2020": "date:not: subscriptions do not evaluate this modifier",
}


@pytest.mark.parametrize("text", ACCEPTED)
def test_what_the_server_can_match_is_accepted(text: str) -> None:
    """Nothing is said about criteria that work."""
    assert list(criteria.problems(text)) == []


@pytest.mark.parametrize(("text", "said"), REFUSED.items())
def test_what_the_server_cannot_match_is_refused(text: str, said: str) -> None:
    """One sentence says what is wrong, and what to write instead."""
    found = list(criteria.problems(text))
    assert any(said in one for one in found), found


def test_every_fault_is_told() -> None:
    """Two bad parameters are two problems."""
    assert len(list(criteria.problems("Task?foo=1&status=&patient=9"))) == 3


@pytest.mark.parametrize(
    ("text", "resource_type", "said"),
    [
        ("Patient?general-practitioner=%profile", "Patient", None),
        ("Patient?_compartment=%patient.id", "Patient", None),
        ("AuditEvent?type=rest&action=C", "AuditEvent", None),
        ("*?_tag=a|b", "*", None),
        ("Patient?general-practitioner=%profile", "Task", "about 'Patient', the entry is about"),
        ("Patient?genral-practitioner=%profile", "Patient", "did you mean 'general-practitioner'"),
        ("Patient?organization.name=%profile", "Patient", "a chain"),
    ],
)
def test_criteria_of_a_policy_may_hold_variables(
    text: str, resource_type: str, said: str | None
) -> None:
    """A variable stands for any value; the rest is judged as for a subscription."""
    found = list(criteria.problems(text, resource_type=resource_type))
    assert found == [] if said is None else any(said in one for one in found)


def test_criteria_that_ask_for_the_same_are_equal() -> None:
    """The order of parameters and the way of escaping do not matter."""
    one = criteria.parse("Task?status=draft&code=x%7Cy")
    other = criteria.parse("Task?code=x|y&status=draft")
    assert one.same_as == other.same_as
    assert one.same_as != criteria.parse("Task?status=draft").same_as
