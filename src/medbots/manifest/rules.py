"""What must hold between the parts of a manifest, beyond the shape of each."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from medbots import errors
from medbots.manifest import criteria, document, fhir, fhirpath, schema, shape


def problems(root: document.Node, folder: Path) -> Iterator[errors.Problem]:
    """Yield what is wrong between the parts; what has a wrong shape is left out of account."""
    bots = _entries(root, "bots")
    subscriptions = _entries(root, "subscriptions")
    yield from _unique_names("bots", bots)
    yield from _unique_names("subscriptions", subscriptions)
    for key, bot in bots.items():
        yield from _source(f"bots.{key}.source", bot, folder)
        yield from _secrets(f"bots.{key}", bot)
        for index, entry in enumerate(_items(bot, "policy")):
            yield from _policy(f"bots.{key}.policy[{index}]", entry)
    for key, subscription in subscriptions.items():
        yield from _subscription(f"subscriptions.{key}", subscription, bots)
    yield from _duplicates(subscriptions)


def warnings(root: document.Node) -> Iterator[errors.Problem]:
    """Yield what is legal and yet seldom meant."""
    for key, subscription in _entries(root, "subscriptions").items():
        text = _child(subscription, "fhirPathCriteria")
        if text is not None and isinstance(text.value, str):
            for said in fhirpath.warnings(text.value):
                yield errors.Problem(f"subscriptions.{key}.fhirPathCriteria", said, text.line)


def _child(node: document.Node, key: str) -> document.Node | None:
    found = node.value.get(key) if isinstance(node.value, dict) else None
    return found if isinstance(found, document.Node) else None


def _entries(node: document.Node, key: str) -> dict[str, document.Node]:
    found = _child(node, key)
    return found.value if found is not None and isinstance(found.value, dict) else {}


def _items(node: document.Node, key: str) -> list[document.Node]:
    found = _child(node, key)
    return found.value if found is not None and isinstance(found.value, list) else []


def _text(node: document.Node, key: str) -> str | None:
    """Return the text of a child, where it is some."""
    found = _child(node, key)
    return found.value if found and isinstance(found.value, str) and found.value.strip() else None


def _line(node: document.Node, key: str) -> int:
    found = _child(node, key)
    return found.line if found is not None else node.line


def _unique_names(kind: str, entries: dict[str, document.Node]) -> Iterator[errors.Problem]:
    owners: dict[str, str] = {}
    for key, entry in entries.items():
        name = _text(entry, "name")
        if name is None:
            continue
        if name in owners:
            said = f"{name!r} is the name of {kind}.{owners[name]} too"
            yield errors.Problem(f"{kind}.{key}.name", said, _line(entry, "name"))
        owners.setdefault(name, key)


def _source(path: str, bot: document.Node, folder: Path) -> Iterator[errors.Problem]:
    source = _text(bot, "source")
    if source is None or not re.fullmatch(schema.SOURCE, source):
        return
    file = folder / source
    line = _line(bot, "source")
    if not file.resolve().is_relative_to(folder.resolve()):
        yield errors.Problem(path, "must lie below the manifest's folder", line)
    elif not file.is_file():
        yield errors.Problem(path, f"file not found: {source}", line)


def _secrets(path: str, bot: document.Node) -> Iterator[errors.Problem]:
    needed = {item.value for item in _items(bot, "secrets") if isinstance(item.value, str)}
    for index, item in enumerate(_items(bot, "optionalSecrets")):
        if isinstance(item.value, str) and item.value in needed:
            said = f"{item.value} is among the bot's secrets already"
            yield errors.Problem(f"{path}.optionalSecrets[{index}]", said, item.line)


def _policy(path: str, entry: document.Node) -> Iterator[errors.Problem]:
    resource_type = _text(entry, "resourceType")
    known = fhir.resource_types().get(resource_type or "")
    if resource_type is None or (known is None and resource_type != "*"):
        return
    text = _text(entry, "criteria")
    if text is not None:
        for said in criteria.problems(text, resource_type=resource_type):
            yield errors.Problem(f"{path}.criteria", said, _line(entry, "criteria"))
    yield from _write_constraints(path, entry, resource_type if known else None)
    if known is None:
        return
    for key in ("hiddenFields", "readonlyFields"):
        for index, item in enumerate(_items(entry, key)):
            name = item.value.partition(".")[0] if isinstance(item.value, str) else ""
            if name and name not in known.elements:
                hint = shape.nearest(name, known.elements)
                said = f"{resource_type} has no element {name!r}{hint}"
                yield errors.Problem(f"{path}.{key}[{index}]", said, item.line)


def _write_constraints(
    path: str, entry: document.Node, about: str | None
) -> Iterator[errors.Problem]:
    for index, item in enumerate(_items(entry, "writeConstraint")):
        expression = _text(item, "expression")
        if expression is not None:
            where = f"{path}.writeConstraint[{index}].expression"
            for said in fhirpath.problems(expression, about, fhirpath.WRITE_VARIABLES):
                yield errors.Problem(where, said, _line(item, "expression"))


def _subscription(path: str, entry: document.Node, bots: Iterable[str]) -> Iterator[errors.Problem]:
    bot = _text(entry, "bot")
    if bot is not None and bot not in bots:
        said = f"there is no bot {bot!r}{shape.nearest(bot, bots)}"
        yield errors.Problem(f"{path}.bot", said, _line(entry, "bot"))
    text = _text(entry, "criteria")
    if text is not None:
        for said in criteria.problems(text):
            yield errors.Problem(f"{path}.criteria", said, _line(entry, "criteria"))
    expression = _text(entry, "fhirPathCriteria")
    if expression is not None:
        about = criteria.parse(text).resource_type if text is not None else None
        for said in fhirpath.problems(expression, about):
            line = _line(entry, "fhirPathCriteria")
            yield errors.Problem(f"{path}.fhirPathCriteria", said, line)


def _duplicates(subscriptions: dict[str, document.Node]) -> Iterator[errors.Problem]:
    """Two subscriptions that fire on one change run the bot twice."""
    for (first, one), (second, other) in itertools.combinations(subscriptions.items(), 2):
        criterias = _text(one, "criteria"), _text(other, "criteria")
        if criterias[0] is None or criterias[1] is None:
            continue
        if criteria.parse(criterias[0]).same_as != criteria.parse(criterias[1]).same_as:
            continue
        if any(_text(one, key) != _text(other, key) for key in ("bot", "fhirPathCriteria")):
            continue
        changes = {_text(one, "interaction"), _text(other, "interaction")}
        if len(changes) == 1 or None in changes:
            said = f"the same criteria and bot as subscriptions.{first}: the bot would run twice"
            yield errors.Problem(f"subscriptions.{second}.criteria", said, _line(other, "criteria"))
