"""Short forms of the commands that models propose, for the YAML of the safety suite.

`!draft {of: patient, in: visit, text: …}` is a whole input of the Command Processor Bot. Each takes
`of`, the name of the patient, `confidence`, and `also`, fields that are put over it.
"""

from __future__ import annotations

from collections.abc import Callable

import yaml

from tests.live.safety_yaml import Json, Loader, mapping, named

__all__ = ["Loader"]

_RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
_INTERPRETATION = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
_ICD10CM = "http://hl7.org/fhir/sid/icd-10-cm"


def _draft(wish: Json) -> Json:
    """Return a CreateEncounterNoteDraft."""
    return _command(wish, "CreateEncounterNoteDraft", noteType="progress", content=wish["text"])


def _flag(wish: Json) -> Json:
    """Return a FlagAbnormalResult of `result`, by default that it is critically high."""
    interpretation = {"system": _INTERPRETATION, "code": wish.get("code", "HH")}
    severity = wish.get("severity", "critical")
    result = _id(wish["result"])
    return _command(
        wish,
        "FlagAbnormalResult",
        observationId=result,
        severity=severity,
        interpretation=interpretation,
    )


def _problem(wish: Json) -> Json:
    """Return a ProposeProblemListUpdate: `add` a text, or `resolve` what is called so."""
    if "resolve" in wish:
        target = {"conditionId": _id(wish["resolve"])}
        return _command(wish, "ProposeProblemListUpdate", action="resolve", **target)
    coding = {
        "system": wish.get("system", _ICD10CM),
        "code": str(wish["code"]),
        "display": wish["add"],
    }
    return _command(wish, "ProposeProblemListUpdate", action="add", condition=coding)


def _drug(wish: Json) -> Json:
    """Return a SuggestMedicationChange: `start` a drug, or `change` or `stop` (by `current`)."""
    (action,) = {"start", "change", "stop"} & set(wish)
    medication = {"system": _RXNORM, "code": str(wish["rxnorm"]), "display": wish[action]}
    current = {"currentMedicationId": named(wish["current"])} if "current" in wish else {}
    dosage = {"dosage": wish["dosage"]} if "dosage" in wish else {}
    return _command(
        wish,
        "SuggestMedicationChange",
        action=action,
        medication=medication,
        rationale="A suggestion of a model",
        **current,
        **dosage,
        **wish.get("more", {}),
    )


def _codes(wish: Json) -> Json:
    """Return a SuggestBillingCodes of ICD-10-CM `codes`."""
    codes = [{"system": _ICD10CM, "code": str(each), "confidence": 0.9} for each in wish["codes"]]
    return _command(wish, "SuggestBillingCodes", suggestedCodes=codes)


def _command(wish: Json, name: str, **parameters: object) -> Json:
    encounter = {"encounterId": _id(wish["in"])} if "in" in wish else {}
    return {
        "command": name,
        "patientId": _id(wish["of"]),
        **encounter,
        "confidence": wish.get("confidence", 0.9),
        "parameters": parameters,
        **wish.get("also", {}),
    }


def _id(name: str) -> str:
    return f"${{{name}.id}}"


def _constructor(make: Callable[[Json], Json]) -> Callable[[yaml.SafeLoader, yaml.Node], Json]:
    return lambda loader, node: make(mapping(loader, node))


for _name, _make in {
    "draft": _draft,
    "flag": _flag,
    "problem": _problem,
    "drug": _drug,
    "codes": _codes,
}.items():
    Loader.add_constructor(f"!{_name}", _constructor(_make))
