"""What the layers below log, said on stderr: warnings always, each request with --verbose."""

from __future__ import annotations

import logging
import sys

from medbots import secret
from medbots.cli import options


class _Stderr(logging.Handler):
    """Writes to whatever stderr is now, free of secrets."""

    def emit(self, record: logging.LogRecord) -> None:
        level = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        sys.stderr.write(level + secret.redact(record.getMessage()) + "\n")
        sys.stderr.flush()


_HANDLER = _Stderr()


def start(opts: options.Options) -> None:
    """Narrate this run."""
    log = logging.getLogger("medbots")
    log.setLevel(logging.DEBUG if opts.debug else logging.WARNING)
    if _HANDLER not in log.handlers:
        log.addHandler(_HANDLER)
