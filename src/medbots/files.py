"""Files that only their owner may read, written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from medbots import errors


def make_folder(path: Path, mode: int = 0o700) -> None:
    """Make a folder, and the missing ones above it, that only the owner can enter.

    Another `mode` may let others pass through; the files in it are private all the same.

    Raises:
        errors.StorageError: it cannot be made.
    """
    with translated(path):
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(mode=mode, exist_ok=True)


def write(path: Path, text: str) -> None:
    """Replace the content of a 0600 file: a reader sees the old text or the new, never a part.

    Raises:
        errors.StorageError: the disk is full, or the folder is not writable.
    """
    make_folder(path.parent)
    with translated(path):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def read(path: Path) -> str | None:
    """Return a file's text; None where there is no such file.

    Raises:
        errors.StorageError: it is there and cannot be read.
    """
    with translated(path):
        try:
            return path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal about `path` into one clear error."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise errors.StorageError(
            f"{path}: {reason}",
            hint="free space or permissions there, or set MEDBOTS_STATE_DIR to another folder",
        ) from error
