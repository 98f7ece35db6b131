"""A family of checks: functions with an id, made into runnable checks for each subject."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from medbots import check
from medbots.checks import target as target_module

Look = Callable[..., Awaitable[check.Result]]
Names = Mapping[str, str]
Subjects = Callable[[target_module.Target], Iterable[tuple[Names, tuple[Any, ...]]]]
"""For each subject the names that fill the placeholders of an id, and what is handed to `look`."""

_PLACEHOLDER = re.compile(r"<(\w+)>")


@dataclass(frozen=True, slots=True)
class Definition:
    """One check, before it is known what it looks at."""

    pattern: str
    """The id; a part such as `<key>` stands for the subject's own name."""
    look: Look
    """Called with the Target and the subject. Its docstring is the check's documentation."""
    severity: check.Severity
    needs: tuple[str, ...]
    """Patterns of the checks without which this one means nothing."""
    needs_of: Callable[..., tuple[str, ...]]
    """Called with the subject: what this one needs besides."""

    @property
    def documentation(self) -> str:
        """The docstring: a title, then paragraphs that begin Proves, Fails and Cure."""
        return inspect.getdoc(self.look) or ""

    @property
    def title(self) -> str:
        """The first line of the documentation, without its full stop."""
        return self.documentation.partition("\n")[0].rstrip(".")


def _one_subject(_: target_module.Target) -> Iterable[tuple[Names, tuple[Any, ...]]]:
    return [({}, ())]


class Family:
    """The checks of one module, in the order in which they are written there."""

    def __init__(self, name: str, title: str, subjects: Subjects = _one_subject) -> None:
        self.name = name
        """First part of the ids."""
        self.title = title
        """A heading and a sentence for the reference."""
        self._subjects = subjects
        self.definitions: list[Definition] = []

    def define(
        self,
        pattern: str,
        *,
        severity: check.Severity = check.Severity.ERROR,
        needs: tuple[str, ...] = (),
        needs_of: Callable[..., tuple[str, ...]] = lambda *_: (),
    ) -> Callable[[Look], Look]:
        """Make the decorated function a check of this family."""

        def add(look: Look) -> Look:
            self.definitions.append(Definition(pattern, look, severity, needs, needs_of))
            return look

        return add

    def checks(self, target: target_module.Target) -> Iterator[check.Check]:
        """Yield the checks of every subject; nothing is looked at yet."""
        for names, subject in self._subjects(target):
            for definition in self.definitions:
                needs = (*definition.needs, *definition.needs_of(*subject))
                yield check.Check(
                    _filled(definition.pattern, names),
                    definition.title,
                    functools.partial(definition.look, target, *subject),
                    definition.severity,
                    tuple(_filled(need, names) for need in needs),
                )


def _filled(pattern: str, names: Names) -> str:
    return _PLACEHOLDER.sub(lambda match: names[match.group(1)], pattern)
