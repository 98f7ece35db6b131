"""The exception tree. Each class is one kind of trouble, with the exit code of the contract.

The docstring of a class is its default message; `hint` is the command or setting that helps.
"""

from __future__ import annotations

from typing import ClassVar


class MedbotsError(Exception):
    """Something went wrong."""

    exit_code: ClassVar[int] = 1
    code: ClassVar[str] = "error"

    def __init__(self, message: str | None = None, *, hint: str | None = None) -> None:
        self.message = message or (self.__doc__ or "").strip().splitlines()[0]
        self.hint = hint
        self.said = ""
        """What a server said, as far as the message repeats it: a bot's words may be among it."""
        self.reported = False
        """Whether the command has printed it already, inside its own result."""
        super().__init__(self.message)


class UsageError(MedbotsError):
    """The command was called in a way it does not take."""

    exit_code = 64
    code = "usage"


class MissingSettingError(UsageError):
    """A setting is missing."""

    code = "setting-missing"


class ConfirmationError(UsageError):
    """This needs a confirmation, and there is no terminal to ask at."""

    code = "confirmation-needed"


class InvalidError(MedbotsError):
    """The manifest, or a bundle, is invalid."""

    exit_code = 65
    code = "invalid"


class Problem:
    """One thing that is wrong in a file: where, what, and what would be right."""

    __slots__ = ("line", "message", "path")

    def __init__(self, path: str, message: str, line: int | None = None) -> None:
        self.path = path
        """Dotted path in the document, such as `bots.embedding.source`."""
        self.message = message
        self.line = line
        """1-based line in the file, where it is known."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Problem) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line is not None else ""
        return f"{where}{self.path}: {self.message}" if self.path else f"{where}{self.message}"

    __repr__ = __str__


class ManifestError(InvalidError):
    """The manifest is invalid."""

    code = "manifest-invalid"

    def __init__(self, file: str, problems: list[Problem]) -> None:
        self.file = file
        self.problems = problems
        count = f"{len(problems)} problem{'s' if len(problems) != 1 else ''}"
        lines = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(f"{file}: {count}\n{lines}")


class BundleError(InvalidError):
    """A bot's bundle would fail on the server."""

    code = "bundle-invalid"


class NotLoggedInError(MedbotsError):
    """Not logged in."""

    exit_code = 4
    code = "not-logged-in"


class NotAllowedError(MedbotsError):
    """The login has no right to do this."""

    exit_code = 4
    code = "not-allowed"


class UnreachableError(MedbotsError):
    """A server cannot be reached."""

    exit_code = 5
    code = "unreachable"


class ServerError(MedbotsError):
    """The server refused the request."""

    code = "server-error"


class NotFoundError(ServerError):
    """The server has no such resource."""

    code = "not-found"


class ConflictError(ServerError):
    """The resource was changed by somebody else in the meantime."""

    code = "conflict"


class BotFailedError(MedbotsError):
    """The bot could not do it."""

    code = "bot-failed"


class ClosedError(MedbotsError):
    """Nothing is to be decided about it."""

    code = "closed"


class DeclinedError(MedbotsError):
    """Nothing was done."""

    code = "declined"


class StateError(MedbotsError):
    """The server's state is ambiguous, and medbots will not guess."""

    code = "ambiguous"


class PartlyAppliedError(MedbotsError):
    """Some changes were applied and some were not; the next run completes them."""

    exit_code = 3
    code = "partly-applied"


class StorageError(MedbotsError):
    """A file of the state folder cannot be read or written."""

    code = "state-folder"


class CheckFailedError(MedbotsError):
    """A check failed."""

    code = "check-failed"


class DatabaseError(MedbotsError):
    """The database refused the statement."""

    code = "database-error"


class LocalStackError(MedbotsError):
    """The local stack could not do this."""

    code = "local-stack"


class InterruptedByUserError(MedbotsError):
    """Interrupted."""

    exit_code = 130
    code = "interrupted"
