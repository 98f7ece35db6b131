"""The options that every command takes, wherever on the line they stand."""

from __future__ import annotations

import enum
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import core

from medbots import errors

_META = "medbots.options"


class Format(enum.StrEnum):
    """How stdout is written."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Options:
    """The global options of one run."""

    profile: str | None = None
    manifest: Path | None = None
    base_url: str | None = None
    format: str = Format.TEXT
    no_color: bool = False
    verbose: bool = False
    yes: bool = False
    non_interactive: bool = False
    allow_http: bool | None = None

    @property
    def json(self) -> bool:
        """Whether stdout is one JSON document."""
        return self.format == Format.JSON

    @property
    def interactive(self) -> bool:
        """Whether a person is there to answer a question."""
        return not (
            self.non_interactive
            or os.environ.get("CI", "").lower() in ("1", "true")
            or sys.stdin is None
            or not sys.stdin.isatty()
        )

    @property
    def debug(self) -> bool:
        """Whether each request is narrated."""
        return self.verbose or os.environ.get("MEDBOTS_LOG", "").lower() == "debug"

    @property
    def flags(self) -> Mapping[str, Any]:
        """The settings that were given as flags."""
        given = {"base_url": self.base_url, "allow_http": self.allow_http}
        return {name: value for name, value in given.items() if value is not None}


def of(ctx: typer.Context) -> Options:
    """Return the global options of this run."""
    found = ctx.meta.get(_META)
    return found if isinstance(found, Options) else Options()


def _remember(ctx: typer.Context, param: Any, value: Any) -> Any:
    name = str(param.name).removeprefix("global_")
    formats = getattr(ctx.command, "formats", tuple(Format))
    if name == "format" and value not in (None, *formats):
        known = ", ".join(repr(str(one)) for one in formats)
        raise typer.BadParameter(f"{value!r} is none of {known}", ctx=ctx, param=param)
    if value is not None and value is not False:
        changed: dict[str, Any] = {name: Path(value) if name == "manifest" else value}
        ctx.meta[_META] = replace(of(ctx), **changed)
    return value


def _option(name: str, *declarations: str, **attributes: Any) -> core.TyperOption:
    return core.TyperOption(
        param_decls=[f"global_{name}", *declarations],
        expose_value=False,
        callback=_remember,
        **attributes,
    )


def _global_options() -> list[Any]:
    return [
        _option("profile", "--profile", metavar="NAME", help="Profile to use."),
        _option(
            "manifest",
            "--manifest",
            metavar="PATH",
            help="Manifest to use instead of ./medbots.yaml or the packaged one.",
        ),
        _option("base_url", "--base-url", metavar="URL", help="Base URL of the Medplum server."),
        _option("format", "--format", metavar="text|json", help="What stdout holds."),
        _option("no_color", "--no-color", is_flag=True, help="No colours."),
        _option(
            "verbose",
            "-v",
            "--verbose",
            is_flag=True,
            help="Narrate each request; show a bot's withheld words.",
        ),
        _option("yes", "--yes", is_flag=True, help="Answer every question with yes."),
        _option("non_interactive", "--non-interactive", is_flag=True, help="Ask nothing."),
        _option("allow_http", "--allow-http", is_flag=True, help="Plain HTTP beyond loopback."),
    ]


Globs = Annotated[
    list[str] | None,
    typer.Option(
        "--only", metavar="GLOB,…", help="Only what has such a key; several, or repeated."
    ),
]
"""`--only` of what goes by keys."""

ExpectProject = Annotated[
    str | None,
    typer.Option("--expect-project", metavar="ID", help="Refuse any other project."),
]
"""`--expect-project` of what goes by the login's project."""


def pattern(globs: list[str] | None) -> str | None:
    """Return the globs of a repeated option as one pattern, parted by commas."""
    return ",".join(globs) if globs else None


class Command(core.TyperCommand):
    """A verb that takes the global options too."""

    formats: tuple[str, ...] = tuple(Format)
    """What `--format` may say; a verb that can print more has a class of its own."""

    def __init__(self, *args: Any, params: list[Any] | None = None, **attributes: Any) -> None:
        super().__init__(*args, params=[*(params or []), *_global_options()], **attributes)
        for one in self.params:
            _speak(one)


_NUMBERS = {
    "int": "whole number",
    "int range": "whole number",
    "float": "number",
    "float range": "number",
}


def _speak(param: Any) -> None:
    """Let the error about what is no number say in words what is wanted, with its limits."""
    kind = param.type
    word = _NUMBERS.get(getattr(kind, "name", ""))
    # Without a metavar of its own, the help shows the name of the type.
    if word is None or param.metavar is None:
        return
    least, most = getattr(kind, "min", None), getattr(kind, "max", None)
    if least is not None:
        word = f"{word} from {least}" + (f" to {most}" if most is not None else " on")
    kind.name = word


class Group(core.TyperGroup):
    """A noun that takes the global options too."""

    order: tuple[str, ...] = ()
    """In which the help shows the verbs; those that are not named come last."""

    def __init__(self, *args: Any, params: list[Any] | None = None, **attributes: Any) -> None:
        super().__init__(*args, params=[*(params or []), *_global_options()], **attributes)

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the verbs in the order in which they are used."""
        places = {name: place for place, name in enumerate(self.order)}
        return sorted(super().list_commands(ctx), key=lambda name: places.get(name, len(places)))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Show each verb with the whole first paragraph of its help, instead of its beginning."""
        found = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        first = [(name, (one.help or "").partition("\n\n")[0]) for name, one in found if one]
        with formatter.section("Commands"):
            formatter.write_dl([(name, " ".join(said.split())) for name, said in first])

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Show the help where nothing was asked for: a usage error that needs no other words."""
        if not args and self.no_args_is_help:
            typer.echo(ctx.get_help(), err=True)
            ctx.exit(errors.UsageError.exit_code)
        return super().parse_args(ctx, args)
