"""`breakwater`: the commands, their help, and the exit codes.

0 fine, 1 failed, 2 bad usage, 130 interrupted.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

import typer

from cli import alerts, dead_letters, models, policy, rules, setup
from cli.errors import exit_code, in_a_line, is_utf8, say

app = typer.Typer(
    name="breakwater",
    help="Moderates user-generated content while it is being posted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(rules.app, name="rules")
app.add_typer(policy.app, name="policy")
app.add_typer(alerts.app, name="alerts")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(models.app, name="models")
app.add_typer(setup.topics_app, name="topics")
app.add_typer(setup.schema_app, name="schema")


def main() -> None:
    """Run a command; what cannot be done says why in one line instead of a traceback."""
    from flows.logs import set_up_logging

    set_up_logging()
    try:
        try:
            app()
        finally:
            # What cannot be written is told here, and not by the interpreter when it ends.
            print(end="", flush=True)
    except BrokenPipeError:
        # The reader of a pipe (`| head`) has seen enough.
        _drop_output()
        sys.exit(0)
    except Exception as error:
        code, told = exit_code(error), in_a_line(error)
        if code is None and not is_utf8(sys.argv):
            # A path may be so; what goes to a server may not, and each says so in its own way.
            code, told = 2, "an argument is not UTF-8: type it again, in a terminal that is"
        if code is None:
            raise
        say(told)
        _drop_output()
        sys.exit(code)


def _drop_output() -> None:
    """What could not be written is not tried again when the interpreter ends."""
    # AttributeError: a process that was started without one.
    with suppress(OSError, AttributeError):
        sys.stdout.close()


@app.command(epilog="Example: breakwater run --input posts.jsonl --output out")
def run(
    input: Annotated[  # noqa: A002 (the option's name)
        str, typer.Option(help="JSON Lines of contents, `-` for standard input; without it, Kafka.")
    ] = "",
    output: Annotated[
        Path | None, typer.Option(help="Directory of the results and the embedded store.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the result files of an earlier run there.")
    ] = False,
) -> None:
    """Run the main job."""
    from cli.run import run_files, run_kafka

    if input:
        run_files(input, output, overwrite=overwrite)
    else:
        run_kafka(output)


@app.command(epilog="Example: breakwater demo && xdg-open out/demo/report.html")
def demo(
    output: Annotated[Path, typer.Option(help="Directory of the results.")] = Path("out/demo"),
    posts: Annotated[int, typer.Option(min=1000, max=5_000_000, help="Posts of the day.")] = 50_000,
    seed: Annotated[int, typer.Option(help="Another seed makes another day.")] = 7,
) -> None:
    """The main job on a generated day of traffic with two attacks in it; nothing to set up."""
    from cli.demo import run_demo

    run_demo(output, posts, seed)


@app.command(epilog="Example: breakwater check 'earn $5000 a week, telegram @cash'")
def check(
    text: Annotated[str, typer.Argument(help="The text, `-` for standard input.")] = "",
    image: Annotated[Path | None, typer.Option(help="A picture to go with it.")] = None,
    json: Annotated[bool, typer.Option("--json", help="The decision as JSON.")] = False,
) -> None:
    """One item through the whole chain, with every signal and why.

    By the rules and policies in force: with BREAKWATER_REDIS_URL, pushed ones too.
    """
    from cli.check import check_item

    check_item(text, image, as_json=json)


@app.command(epilog="Example: breakwater score comments.jsonl > scores.jsonl")
def score(
    file: Annotated[
        str, typer.Argument(help="JSON Lines {id, text} or {id, image: PATH}; `-`: standard input.")
    ],
    no_rules: Annotated[
        bool, typer.Option("--no-rules", help="Models alone, without rules and hash lists.")
    ] = False,
) -> None:
    """Score texts and images in batches: JSON Lines {id, scores, action, stage}, in order.

    `degraded` is added where a stage could not score, such as an image that does not decode.
    """
    from cli.score import score_lines

    score_lines(file, use_rules=not no_rules)


@app.command(epilog="Example: BREAKWATER_KAFKA_BROKERS=localhost:9092 breakwater doctor")
def doctor() -> None:
    """Whether everything that the settings name answers; exit code 1 when something does not."""
    from cli.doctor import examine

    raise typer.Exit(0 if examine() else 1)


@app.command(epilog="Example: breakwater load --rate 500 --seconds 60 --burst 10x5")
def load(
    rate: Annotated[float, typer.Option(min=0.1, max=1e6, help="Posts a second.")] = 100.0,
    seconds: Annotated[float, typer.Option(min=0.1, max=86_400, help="For how long.")] = 30.0,
    burst: Annotated[
        str, typer.Option(help="TIMESxSECONDS: so many times the rate for so long, once.")
    ] = "",
    texts: Annotated[
        Path | None,
        typer.Option(help="JSON Lines {text} to post; without it, the demo's traffic."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="The report as one line of JSON.")] = False,
) -> None:
    """Post at a set rate to a running job and report how long decisions take.

    The rate is kept whatever is answered, and a latency counts from the time at which its post was
    due. Exit code 1: some posts got no decision.
    """
    from cli.load import put_load

    raise typer.Exit(1 if put_load(rate, seconds, burst, texts, as_json=json).lost else 0)


@app.command(epilog="Example: breakwater hash photo.jpg banned/*.png")
def hash(  # noqa: A001 (the command's name)
    files: Annotated[list[Path], typer.Argument(help="Pictures: JPEG, PNG, GIF, WebP and others.")],
) -> None:
    """MD5, PDQ and pHash of each FILE as JSON Lines, for hash lists.

    PDQ wants a quality of 50 or more to be matched. A file that is no picture gets an `error`, and
    the exit code is then 1.
    """
    from cli.hash import hash_command

    hash_command(files)


@app.command(epilog="Example: breakwater detect cpu.csv traffic.csv --output scored")
def detect(
    files: Annotated[list[Path], typer.Argument(help="CSV files with `timestamp,value`.")],
    output: Annotated[
        Path | None, typer.Option(help="Directory of the scored files; one file alone may print.")
    ] = None,
) -> None:
    """The job's surge detector over series: `timestamp,value,z_score,anomaly_score` (0 to 1).

    In one pass: each row is judged by itself and the rows before it. An anomaly_score of 0.5 or
    more is an anomaly.
    """
    from cli.detect import detect_command

    detect_command(files, output)


@app.command(
    epilog="Example: breakwater query cohort_audit --param accounts=100 --format csv",
    # Its own --help tells of the query that is named.
    context_settings={"help_option_names": []},
)
def query(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The query; without it, all are listed.")] = "",
    param: Annotated[list[str] | None, typer.Option(help="NAME=VALUE, once a parameter.")] = None,
    format: Annotated[  # noqa: A002 (the option's name)
        Literal["table", "csv", "json", "parquet"], typer.Option(help="How to print the answer.")
    ] = "table",
    output: Annotated[Path | None, typer.Option(help="A file instead of standard output.")] = None,
    explain: Annotated[
        bool, typer.Option("--help", "-h", help="This message, or what the named query takes.")
    ] = False,
) -> None:
    """Ask the store a question of the library."""
    from cli.query import OutputFormat, describe_query, query_command

    if explain:
        print(describe_query(name) if name else context.get_help())
        return
    query_command(name, param or (), OutputFormat(format), output)


@app.command(epilog="Example: BREAKWATER_OUTPUT=out/demo breakwater replay --policy strict.yaml")
def replay(
    policy: Annotated[Path, typer.Option(help="The policy file to decide by.")],
    since: Annotated[
        str, typer.Option(help="First moment, UTC; seven days before the newest by default.")
    ] = "",
    until: Annotated[str, typer.Option(help="End, not included.")] = "",
    html: Annotated[Path | None, typer.Option(help="Write the answer as a page, too.")] = None,
    rescore: Annotated[
        bool, typer.Option(help="Have the models in use score what texts are kept.")
    ] = False,
    text_model: Annotated[
        Path | None, typer.Option(help="Have the text models of this directory score them.")
    ] = None,
) -> None:
    """What another policy would have decided on logged traffic, from its stored scores."""
    from cli.replay import replay_command

    replay_command(policy, since, until, html, rescore=rescore, text_model=text_model)


@app.command(epilog="Example: breakwater console --output out/demo")
def console(
    output: Annotated[Path | None, typer.Option(help="Directory of an earlier run.")] = None,
    host: Annotated[str, typer.Option(help="Address; another than loopback needs a password.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8050,
    allowed_host: Annotated[
        list[str] | None, typer.Option(help="Names the console is reached by, beside loopback.")
    ] = None,
    reviewer: Annotated[str, typer.Option(help="Who labels, when there is no password.")] = "",
) -> None:
    """The review queue and the live dashboard in the browser, until Ctrl-C."""
    from cli.console import console_command

    console_command(output, host, port, allowed_host or (), reviewer)


@app.command(epilog="Example: BREAKWATER_KAFKA_BROKERS=localhost:9092 breakwater feedback")
def feedback() -> None:
    """Store labels, reports and appeals from Kafka, and derive consensus labels."""
    from cli.feedback import run_feedback

    run_feedback()


@app.command(epilog="Example: breakwater forget user-42 --yes")
def forget(
    author_id: Annotated[str, typer.Argument(help="Whose data is to be deleted.")],
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
) -> None:
    """An author's request to be deleted, honoured in every table."""
    from cli.forget import forget_command

    forget_command(author_id, confirmed=yes)


@app.command(epilog="Example: breakwater hold user-42")
def hold(
    author_id: Annotated[str, typer.Argument(help="Whose contents are to be kept.")],
    release: Annotated[bool, typer.Option("--release", help="End the hold.")] = False,
) -> None:
    """Legal hold: an author's contents, present and later, are kept and cannot be forgotten."""
    from cli.hold import hold_command

    hold_command(author_id, release=release)


if __name__ == "__main__":
    main()
