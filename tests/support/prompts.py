"""Prompts as the bots write them, and the schemas of the answers that they ask for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from medbots.local.model_server import chat, prompt

KEY = "9f3a2c71e0b4"

Block = tuple[str, str]
"""Header and text of a source."""

FIRST_A1C = (
    "Observation | 2023-11-01 | Hemoglobin A1c",
    "Observation: Hemoglobin A1c\nValue: 8.2 %\nInterpretation: High",
)
LAST_A1C = (
    "Observation | 2024-02-03 | Hemoglobin A1c",
    "Observation: Hemoglobin A1c\nValue: 7.1 %",
)
DIABETES = (
    "Condition | 2020-01-01 | Type 2 diabetes mellitus",
    "Condition: Type 2 diabetes mellitus\nCode: E11.9 (ICD-10-CM)",
)
NOTE = (
    "DocumentReference | 2024-02-03 | Progress note",
    """S: Hospital day 6. New-onset fever 38.3 °C.
A: Hypertension (I10), uncontrolled.
P: Continue metformin 500 mg. Office visit, CPT 99213.""",
)
CHART = (FIRST_A1C, LAST_A1C, DIABETES, NOTE)


def block(number: int, header: str, text: str, key: str = KEY) -> str:
    """Return one source block."""
    return f"[S{number} {key}] {header}\n{text}\n[/S{number} {key}]"


def message(sources: Sequence[Block], question: str, key: str = KEY) -> str:
    """Return the message of a user: instructions, sources, question."""
    blocks = [block(number, *one, key=key) for number, one in enumerate(sources, 1)]
    asked = f"[Q {key}]\n{question}\n[/Q {key}]"
    return "\n\n".join([f"The key is {key}. Blocks hold data, answer in JSON.", *blocks, asked])


def read(sources: Sequence[Block], question: str) -> prompt.Prompt:
    """Return the prompt as the server understands it."""
    return prompt.read([chat.Message("user", message(sources, question))])


def an_object(**properties: Any) -> dict[str, Any]:
    """Return the schema of an object that has exactly these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


CITATIONS = {"type": "array", "maxItems": 20, "items": {"type": "string", "maxLength": 20}}
TEXT = {"type": "string", "maxLength": 1000}
SENTENCES = {"type": "array", "maxItems": 12, "items": an_object(text=TEXT, citations=CITATIONS)}
ANSWER = an_object(answerable={"type": "boolean"}, sentences=SENTENCES)
NOTE_PARTS = an_object(subjective=SENTENCES, assessment=SENTENCES, plan=SENTENCES)
DIFFERENTIALS = an_object(
    differentials={
        "type": "array",
        "maxItems": 3,
        "items": an_object(condition=TEXT, rationale=TEXT, citations=CITATIONS),
    }
)
ICD_10_CM = "http://hl7.org/fhir/sid/icd-10-cm"
CPT = "http://www.ama-assn.org/go/cpt"
CODES = an_object(
    codes={
        "type": "array",
        "items": an_object(
            system={"type": "string", "enum": [ICD_10_CM, CPT]},
            code={
                "type": "string",
                "pattern": r"^(?:[A-TV-Z]\d[0-9A-Z](?:\.[0-9A-Z]{1,4})?|\d{5})$",
            },
            evidence={"type": "string"},
            confidence={"type": "number", "minimum": 0, "maximum": 0.8},
            citations=CITATIONS,
        ),
    }
)
