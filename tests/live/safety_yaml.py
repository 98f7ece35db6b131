"""The YAML of the safety suite: short forms of the FHIR resources that cases are made of.

`!note {of: patient, in: visit, text: …}` is a whole DocumentReference. Each takes `of` (the name of
the patient), `mine: true` (the member with few rights may read it) and `also`, fields that are put
over it. Every other resource is written out.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Hashable
from typing import Any

import yaml

Json = dict[str, Any]

TAG = {"system": "urn:medbots:test", "code": "mine"}
"""Of what the member with few rights may read."""
MINE = f"{TAG['system']}|{TAG['code']}"
_TERMS = "http://terminology.hl7.org/CodeSystem"


class Loader(yaml.SafeLoader):
    """A safe loader that knows the short forms, and takes no key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Return a mapping, each of whose keys stands there once.

        Raises:
            yaml.YAMLError: one stands there twice, and would be lost.
        """
        keys = [one.value for one, _ in node.value if isinstance(one, yaml.ScalarNode)]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.constructor.ConstructorError(
                None, None, f"twice: {sorted(twice)}", node.start_mark
            )
        return super().construct_mapping(node, deep=deep)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _repeat(wish: Json) -> str:
    """Return `text`, `times` times over."""
    text = str(wish["text"]) * int(wish["times"])
    return f"{wish.get('before', '')}{text}{wish.get('after', '')}"


def _patient(wish: Json) -> Json:
    return {"resourceType": "Patient", "birthDate": wish.get("born", "1970-01-01")}


def _visit(wish: Json) -> Json:
    return {
        "resourceType": "Encounter",
        "status": wish.get("status", "in-progress"),
        "class": {"system": f"{_TERMS}/v3-ActCode", "code": "AMB"},
        **_subject(wish),
    }


def _note(wish: Json) -> Json:
    content_type = wish.get("contentType", "text/plain; charset=utf-8")
    attachment = {"contentType": content_type, "data": _base64(str(wish["text"]))}
    context = {"encounter": [{"reference": named(wish["in"])}]} if "in" in wish else {}
    return {
        "resourceType": "DocumentReference",
        "status": "current",
        "docStatus": "final",
        "type": {"text": wish.get("type", "Progress note")},
        "date": "2024-05-01T09:00:00Z",
        "content": [{"attachment": attachment}],
        **({"context": context} if context else {}),
        **_subject(wish),
    }


def _condition(wish: Json) -> Json:
    return {
        "resourceType": "Condition",
        "code": _concept(wish),
        "clinicalStatus": _coded(f"{_TERMS}/condition-clinical", "active"),
        "verificationStatus": _coded(f"{_TERMS}/condition-ver-status", "confirmed"),
        **({"encounter": {"reference": named(wish["in"])}} if "in" in wish else {}),
        **_subject(wish),
    }


def _result(wish: Json) -> Json:
    """Return a final Observation, of the category laboratory."""
    category = f"{_TERMS}/observation-category"
    value = {"value": wish["value"], **_unit(wish)} if "value" in wish else None
    return {
        "resourceType": "Observation",
        "status": "final",
        "category": [_coded(category, wish.get("category", "laboratory"))],
        "code": _concept(wish),
        "effectiveDateTime": wish.get("at", "2024-05-01T08:00:00Z"),
        **({"valueQuantity": value} if value else {}),
        **({"encounter": {"reference": named(wish["in"])}} if "in" in wish else {}),
        **_subject(wish),
    }


def _medication(wish: Json) -> Json:
    """Return an active MedicationRequest."""
    return {
        "resourceType": "MedicationRequest",
        "status": wish.get("status", "active"),
        "intent": wish.get("intent", "order"),
        "medicationCodeableConcept": _concept(wish),
        "authoredOn": "2024-04-01",
        **({"dosageInstruction": [{"text": wish["dosage"]}]} if "dosage" in wish else {}),
        **_subject(wish),
    }


def _allergy(wish: Json) -> Json:
    return {
        "resourceType": "AllergyIntolerance",
        "code": _concept(wish),
        "clinicalStatus": _coded(f"{_TERMS}/allergyintolerance-clinical", "active"),
        "verificationStatus": _coded(f"{_TERMS}/allergyintolerance-verification", "confirmed"),
        "patient": {"reference": named(wish["of"])},
        **({"note": [{"text": wish["note"]}]} if "note" in wish else {}),
    }


def named(name: str) -> str:
    """Return the reference of what a case calls by a name; anything else as it is."""
    return f"${{{name}}}" if name.isidentifier() else name


def _subject(wish: Json) -> Json:
    return {"subject": {"reference": named(wish["of"])}} if "of" in wish else {}


def _concept(wish: Json) -> Json:
    """Return `text`, with a coding where `loinc`, `icd10` or `rxnorm` names one."""
    systems = {
        "loinc": "http://loinc.org",
        "icd10": "http://hl7.org/fhir/sid/icd-10-cm",
        "rxnorm": "http://www.nlm.nih.gov/research/umls/rxnorm",
    }
    codings = [
        {"system": system, "code": str(wish[name]), "display": wish.get("display", wish["text"])}
        for name, system in systems.items()
        if name in wish
    ]
    return {"text": wish["text"], **({"coding": codings} if codings else {})}


def _coded(system: str, code: str) -> Json:
    return {"coding": [{"system": system, "code": code}]}


def _unit(wish: Json) -> Json:
    if "unit" not in wish:
        return {}
    return {"unit": wish["unit"], "system": "http://unitsofmeasure.org", "code": wish["unit"]}


def _put_over(resource: Json, wish: Json) -> Json:
    tagged = {"meta": {"tag": [TAG]}} if wish.get("mine") else {}
    return {**resource, **tagged, **wish.get("also", {})}


def _resource(make: Callable[[Json], Json]) -> Callable[[yaml.SafeLoader, yaml.Node], Json]:
    def construct(loader: yaml.SafeLoader, node: yaml.Node) -> Json:
        wish = mapping(loader, node)
        return _put_over(make(wish), wish)

    return construct


def _text(make: Callable[[Any], str]) -> Callable[[yaml.SafeLoader, yaml.Node], str]:
    def construct(loader: yaml.SafeLoader, node: yaml.Node) -> str:
        if isinstance(node, yaml.MappingNode):
            return make(mapping(loader, node))
        assert isinstance(node, yaml.ScalarNode), node.start_mark
        return make(str(loader.construct_scalar(node)))

    return construct


def mapping(loader: yaml.SafeLoader, node: yaml.Node) -> Json:
    """Return a mapping of the YAML with everything in it."""
    assert isinstance(node, yaml.MappingNode), node.start_mark
    return {str(key): each for key, each in loader.construct_mapping(node, deep=True).items()}


def _list(loader: yaml.SafeLoader, node: yaml.Node) -> list[Any]:
    """Return `item`, `times` times over."""
    wish = mapping(loader, node)
    return [wish["item"]] * int(wish["times"])


for _name, _make in {
    "patient": _patient,
    "visit": _visit,
    "note": _note,
    "condition": _condition,
    "result": _result,
    "medication": _medication,
    "allergy": _allergy,
}.items():
    Loader.add_constructor(f"!{_name}", _resource(_make))
Loader.add_constructor("!base64", _text(_base64))
Loader.add_constructor("!repeat", _text(_repeat))
Loader.add_constructor("!list", _list)
