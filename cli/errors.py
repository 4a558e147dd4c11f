"""Errors as the person who typed a command meets them: an exit code, and a line on what to do."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterable
from typing import Final

import typer

_WRITE_ERRORS: Final = {
    errno.ENOSPC: "free some and run it again, or write elsewhere",
    errno.EDQUOT: "free some of your space and run it again, or write elsewhere",
    errno.EFBIG: "raise the limit on the size of files (`ulimit -f`), or write less",
    errno.EIO: "the device fails, see the system's log; write elsewhere",
}
"""What to do when a file, which the error need not name, does not take what is written."""


class UsageError(ValueError):
    """A command was given something it cannot use: one line that says what and what to do."""


def say(what: str) -> None:
    """Print a line to standard error."""
    typer.echo(f"breakwater: {what}", err=True)


def failed(why: str) -> typer.Exit:
    """What a command that could not do its work raises, once `why` is said."""
    say(why)
    return typer.Exit(1)


def exit_code(error: Exception) -> int | None:
    """2: bad usage, settings or paths, 1: it failed on its way, None: a fault of ours."""
    # Imported here: `--help` need not wait for the engine and the models.
    from flows.job import START_ERRORS, JobFailedError
    from training.errors import DatasetError

    if isinstance(error, JobFailedError) or _to_do(error):
        return 1
    if isinstance(error, (UsageError, DatasetError, *START_ERRORS)):
        return 2
    return 2 if isinstance(error, OSError) and error.filename is not None else None


def is_utf8(arguments: Iterable[str]) -> bool:
    """Whether all of `arguments` came as UTF-8: other bytes are lone surrogates (PEP 383)."""
    try:
        "".join(arguments).encode()
    except UnicodeEncodeError:
        return False
    return True


def _to_do(error: Exception) -> str | None:
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return _WRITE_ERRORS[errno.ENOSPC]
    return _WRITE_ERRORS.get(error.errno) if isinstance(error, OSError) and error.errno else None


def in_a_line(error: Exception) -> str:
    """What is wrong and what to do."""
    if isinstance(error, OSError) and error.errno:
        return ": ".join(map(str, filter(None, (error.filename, error.strerror, _to_do(error)))))
    return ": ".join(filter(None, (str(error), _to_do(error))))
