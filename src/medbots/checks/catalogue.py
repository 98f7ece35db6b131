"""Puts the families together: every module of this package that has a `family` is one."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

from medbots import check, checks
from medbots.checks import family as family_module
from medbots.checks import target as target_module


def families() -> tuple[family_module.Family, ...]:
    """Return the families, each after those whose checks it needs."""
    found = {one.name: one for one in _found()}
    ordered: dict[str, family_module.Family] = {}

    def place(name: str) -> None:
        family = found.pop(name, None)
        if family is None:
            return
        for definition in family.definitions:
            for need in definition.needs:
                place(need.partition(".")[0])
        ordered[name] = family

    for name in sorted(found):
        place(name)
    return tuple(ordered.values())


def _found() -> Iterator[family_module.Family]:
    for module in pkgutil.iter_modules(checks.__path__):
        loaded = importlib.import_module(f"{checks.__name__}.{module.name}")
        family = getattr(loaded, "family", None)
        if isinstance(family, family_module.Family):
            yield family


def checks_of(target: target_module.Target) -> tuple[check.Check, ...]:
    """Return every check there is for `target`, prerequisites first; nothing is looked at yet."""
    return tuple(one for family in families() for one in family.checks(target))
