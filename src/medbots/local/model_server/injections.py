"""Finds instructions to a model that hide in the sources: for the fault that obeys them.

It is no defence and claims no completeness. It looks for the words by which such texts are known,
in the languages below, and prefers to obey once too often.
"""

from __future__ import annotations

import itertools
import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from medbots.local.model_server import passages, prompt

_PLAIN = {
    "English": (
        r"\b(?:ignore|disregard|forget|override|bypass)\b.{0,80}\b(?:above|all|previous|prior)\b",
        r"\b(?:ignore|disregard|forget|override|bypass)\b.{0,80}\b(?:earlier|everything|sources?)\b",
        r"\b(?:ignore|disregard|forget|bypass)\b.{0,80}\b(?:instruction|rule|prompt|guideline)s?\b",
        r"\byou (?:must|are now|will now|have to|shall)\b|\b(?:new|hidden|secret) instructions?\b",
        r"^\s*(?:system|assistant|developer)\s*:|\bsystem (?:prompt|message|note|override)\b",
        r"\b(?:act|behave) as\b|\bas an (?:ai|assistant)\b|\b(?:pretend|reveal|jailbreak)\b",
        r"\b(?:dear|note to) .{0,20}\b(?:ai|assistant|model|llm|bot)\b",
        r"\b(?:ai|assistant|language model|llm)\b.{0,20}\b(?:must|should|shall)\b",
        r"\b(?:say|answer|reply|respond|output|print|write|repeat|return)\b(?: \w+){0,3}\s*[:\"']",
    ),
    "German": (
        r"\b(?:ignorier|missacht|vergiss|vergesst|umgeh)\w*|\bdu (?:musst|sollst|bist jetzt)\b",
        r"\b(?:antworte|schreibe|sage|gib)\b.{0,30}[:\"']",
    ),
    "Spanish": (
        r"\b(?:ignora|olvid[ae]|haz caso omiso)\b|\bignore (?:las?|los|todas?|todos|el)\b",
        r"\b(?:debes|tienes que|ahora eres)\b|^\s*sistema\s*:",
        r"\b(?:responde|escribe|di)\b(?: \w+){0,2}\s*[:\"']",
    ),
    "French": (
        r"\b(?:ignor|oubli)(?:e|ez|er)\b.{0,60}\b(?:instructions?|consignes?|r[eè]gles?|tout)\b",
        r"\b(?:tu dois|vous devez|tu es maintenant)\b|^\s*syst[eè]me\s*:",
        r"\b(?:r[eé]ponds|r[eé]pondez|[eé]cris)\b(?: \w+){0,2}\s*[:\"']",
    ),
    "Chinese": (
        r"忽略|忽视|无视|忘记|忘掉|你必须|你现在是|系统提示|提示词|^\s*(?:系统|助手)\s*:",
        r"(?:回答|输出|回复|写)[:\"']",
    ),
    "Russian": (
        r"игнориру\w+|забудь|не обращай внимания|ты (?:должен|теперь)|^\s*система\s*:",
        r"(?:ответь|напиши|скажи)(?: \w+){0,2}\s*[:\"']",
    ),
    "Arabic": (
        r"تجاهل|انس\b|يجب عليك|أنت الآن|^\s*النظام\s*:",
        r"(?:اكتب|أجب|قل)(?: \w+){0,2}\s*[:\"']",
    ),
    "marks of chat templates": (
        r"<\|\w+\|>|\[/?INST\]|</?(?:system|assistant|user)>|^\s*#+ *(?:system|instructions?)\b",
    ),
}
"""What no record says of a patient, by language."""
_PLAINLY = re.compile("|".join(itertools.chain(*_PLAIN.values())), re.IGNORECASE | re.DOTALL)
_FAINT = re.compile(
    r"\b(?:ignore|disregard|instructions?|system|assistant|prompt|anweisung(?:en)?|instrucciones"
    r"|consignes|asistente|assistent)\b|指令|指示|系统|助手",
    re.IGNORECASE,
)
"""What a record may say as well: it counts where nothing else is found."""
_QUOTED = re.compile(r"\"([^\"\n]{3,})\"|\u201c([^\u201d\n]{3,})\u201d|«\s*([^»\n]{3,}?)\s*»")
_AFTER_COLON = re.compile(
    r"\b(?:say|answer|reply|respond|output|print|write|repeat|return|state|antworte|schreibe|sage"
    r"|responde|escribe|di|r[eé]ponds|r[eé]pondez|[eé]cris)\b[^:\n]{0,40}:\s*(\S.*)"
    r"|(?:回答|输出|回复|写)[^:\uff1a\n]{0,10}[:\uff1a]\s*(\S.*)",
    re.IGNORECASE,
)
_UNSEEN = re.compile(r"[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")


def find(asked: prompt.Prompt) -> list[passages.Passage]:
    """Return what the sources order, in the order of the sources.

    An order that puts words into a model's mouth gives those words; any other gives itself.
    """
    sentences = [each for source in asked.sources for each in _sentences(source)]
    meant = [one for one in sentences if _PLAINLY.search(_plain(one.raw))]
    meant = meant or [one for one in sentences if _FAINT.search(_plain(one.raw))]
    return [replace(one, raw=_wanted(one.raw), label="") for one in meant]


def dictated(orders: Sequence[passages.Passage]) -> Any:
    """Return the last JSON object that one of the orders dictates; None where none does."""
    for order in reversed(orders):
        start = order.raw.find("{")
        try:
            value, _ = json.JSONDecoder().raw_decode(order.raw, max(start, 0))
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            return value
    return None


def _sentences(source: prompt.Source) -> Iterator[passages.Passage]:
    for line in source.text.split("\n"):
        if "{" in line:
            yield passages.Passage(source, line.strip())
        else:
            yield from passages.split(replace(source, text=line))


def _plain(text: str) -> str:
    """Return a text without what hides words from the eye."""
    return unicodedata.normalize("NFKC", _UNSEEN.sub("", text))


def _wanted(order: str) -> str:
    if "{" in order:
        return order[order.index("{") :]
    quoted = next((part for found in _QUOTED.findall(order) for part in found if part), None)
    spoken = next((part for found in _AFTER_COLON.findall(order) for part in found if part), None)
    return (quoted or spoken or order).strip()
