"""Real workers that rules, hash lists and policies are pushed to, and the commands that push."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from typer.testing import CliRunner

ROOT = Path(__file__).parent.parent

Workers = list[subprocess.Popen[str]]


@contextmanager
def workers(code: str, *arguments: object, count: int = 2) -> Iterator[Workers]:
    """Processes that run `code` with these arguments.

    It prints `up` when it follows the server, then an answer for each line that it reads.
    """
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )
        for _ in range(count)
    ]  # fmt: skip
    try:
        assert [process.stdout.readline() for process in processes] == ["up\n"] * count
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def asked(process: subprocess.Popen[str]) -> str:
    """What a worker answers."""
    process.stdin.write("\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def call_of(app: typer.Typer) -> Callable[..., tuple[int, str]]:
    """Calls commands of `app`: exit code and output; what they raise is raised."""

    def call(*args: object) -> tuple[int, str]:
        result = CliRunner().invoke(app, [str(arg) for arg in args])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output

    return call


def write(path: Path, text: str) -> Path:
    """`path`, with `text` in it from now on."""
    path.write_text(text)
    return path
