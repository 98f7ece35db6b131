"""Adversarial cases as data: `tests/safety/*.yaml`, read and checked before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.live.safety_proposals import Loader

FOLDER = Path(__file__).parents[1] / "safety"
GUARDS = "guards"
"""How the names of the files of guards begin."""
WELL = "well"
"""Name of the model at its best, in ids of tests and in `with`."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Model:
    """One way in which the model goes wrong."""

    kind: str
    """A fault of the local model server."""
    more: Json
    """The fault's other fields."""
    name: str
    """By which an expectation's `with` means it: the kind, or what the case calls it."""


@dataclass(frozen=True, slots=True)
class Case:
    """One attack: what stands before, what is done, and what must not come of it."""

    id: str
    """`category.name`."""
    what: str
    """One sentence: what the attacker does."""
    bot: str
    """Key of the bot that has to have run."""
    guard: str
    """The guard that stops it; with that guard off, the case must fail."""
    given: Mapping[str, Json]
    """Resources by name, created in this order."""
    embedded: tuple[str, ...]
    """Those whose vectors must be there before."""
    models: tuple[Model, ...]
    """What the model does in further runs of the case, beside the model at its best."""
    steps: tuple[Json, ...]
    expect: tuple[Json, ...]

    @property
    def category(self) -> str:
        """The file that the case stands in."""
        return self.id.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Guard:
    """A guard, and how things are without it."""

    name: str
    what: str
    """What it does."""
    bots: tuple[str, ...]
    """Whose bundles are made without it."""
    changes: tuple[Mapping[str, str], ...]
    """`file`, `find` (exactly once in the file) and `replace`; `sql/…` are the queries."""
    policy: Json
    """`bot`, and what its policy says then, by resource type."""
    sql: Mapping[str, str]
    """Statements by which the database's owner takes it away (`off`) and gives it back (`on`)."""


def cases() -> list[Case]:
    """Return every case of the folder."""
    return list(_cases())


def guards() -> dict[str, Guard]:
    """Return every guard by name."""
    fields = {"what", "bots", "changes", "policy", "sql"}
    return {
        name: Guard(
            name,
            one["what"],
            bots=tuple(one.get("bots", ())),
            changes=tuple(one.get("changes", ())),
            policy=one.get("policy", {}),
            sql=one.get("sql", {}),
        )
        for file in sorted(FOLDER.glob(f"{GUARDS}*.yaml"))
        for name, one in _load(file, fields).items()
    }


def _cases() -> Iterator[Case]:
    fields = {"what", "bot", "guard", "given", "embedded", "models", "do", "expect"}
    for file in sorted(FOLDER.glob("*.yaml")):
        if file.name.startswith(GUARDS):
            continue
        for name, one in _load(file, fields).items():
            case = Case(
                id=f"{file.stem}.{name}",
                what=one["what"],
                bot=one["bot"],
                guard=one["guard"],
                given=one.get("given", {}),
                embedded=tuple(one.get("embedded", ())),
                models=tuple(_model(each) for each in one.get("models", ())),
                steps=tuple(one["do"]),
                expect=tuple(one["expect"]),
            )
            _see_that_each_model_is_judged(case)
            yield case


def _see_that_each_model_is_judged(case: Case) -> None:
    modes = {WELL, *(model.name for model in case.models)}
    judged = [set(wish.get("with", modes)) for wish in case.expect]
    unknown = set().union(*judged) - modes
    assert not unknown, f"{case.id}: no model is called {sorted(unknown)}"
    missing = {model.name for model in case.models} - set().union(*judged)
    assert not missing, f"{case.id}: nothing is expected with {sorted(missing)}"


def _model(given: str | Json) -> Model:
    """Return a fault: its kind, or a mapping with `kind` and what else the fault needs."""
    if isinstance(given, str):
        return Model(given, {}, given)
    more = dict(given)
    kind = str(more.pop("kind"))
    return Model(kind, more, str(more.pop("name", kind)))


def _load(file: Path, fields: set[str]) -> dict[str, Any]:
    document = yaml.load(file.read_text(encoding="utf-8"), Loader)  # noqa: S506 (a safe loader)
    assert isinstance(document, dict), file
    for name, one in document.items():
        unknown = set(one) - fields
        assert not unknown, f"{file.name}: {name}: unknown {sorted(unknown)}"
    return document
