"""Forgetting an author: what every table holds of them is deleted, and not only hidden."""

from __future__ import annotations

import json
import re

from clickhouse_connect.driver.client import Client

from connectors.clickhouse import StoreError
from connectors.clickhouse_hold import is_held

# Contents of theirs that must be kept, and all others. The logs know contents whose text is gone.
_HELD = (
    "(SELECT content_id FROM moderation.content FINAL"
    " WHERE author_id = {author:String} AND legal_hold)"
)
_THEIRS = (
    "(SELECT content_id FROM moderation.moderation_logs WHERE user_id = {author:String}"
    " UNION DISTINCT"
    " SELECT content_id FROM moderation.content WHERE author_id = {author:String})"
)
_OF_THEIRS = f"content_id IN {_THEIRS} AND content_id NOT IN {_HELD}"

# What names their contents comes before the tables that tell which contents are theirs.
_CONDITIONS = {
    "model_outputs": _OF_THEIRS,
    "human_labels": _OF_THEIRS,
    "user_reports": f"({_OF_THEIRS}) OR reporter_id = {{author:String}}",
    "appeals": f"user_id = {{author:String}} AND content_id NOT IN {_HELD}",
    # A message that did not decode may still name them.
    "dead_letters": "match(raw, {named:String})",
    "labelled_logs": _OF_THEIRS,
    "labelled_outputs": _OF_THEIRS,
    "labelled_content": _OF_THEIRS,
    "flagged_logs": f"user_id = {{author:String}} AND content_id NOT IN {_HELD}",
    "author_posts": f"user_id = {{author:String}} AND content_id NOT IN {_HELD}",
    "moderation_logs": f"user_id = {{author:String}} AND content_id NOT IN {_HELD}",
    "content": "author_id = {author:String} AND NOT legal_hold",
    "users": "user_id = {author:String}",
}
_ALERTS = ("surge_alerts", "drift_alerts")
# Surges of reports about one content are named by its id, which is cut as the alert has it.
_OF_ONE = (
    "signature IN (SELECT substringUTF8(concat('content:', content_id), 1, 128)"  # noqa: S608
    f" FROM {_THEIRS})"
)
_DONE = {"mutations_sync": 2}


def forget_author(client: Client, author_id: str) -> dict[str, int]:
    """Delete what the tables hold of `author_id`; the number of rows deleted, by table.

    Contents under legal hold, and what belongs to them, stay. Alerts lose their contents as
    examples, and the id of the one that they are about. The aggregates by minute and hour stay:
    they hold counts and 64-bit digests, no ids.
    Returns when the parts on disk are rewritten; backups are not reached.

    Raises:
        StoreError: the author is under legal hold, or is nobody.
        ClickHouseError: the server refuses or went away; running it again finishes the work.
    """
    if is_held(client, author_id):
        raise StoreError(
            f"{author_id!r} is under legal hold: nothing is deleted before"
            " `breakwater hold AUTHOR --release`"
        )
    author = {"author": author_id, "named": _naming(author_id)}
    for table in _ALERTS:
        client.command(
            f"ALTER TABLE moderation.{table} UPDATE"
            f" examples = arrayFilter(id -> id NOT IN {_THEIRS}, examples),"
            f" summary = if({_OF_ONE}, replaceAll(summary, signature, 'content:…'), summary),"
            f" signature = if({_OF_ONE}, 'content:…', signature)"
            f" WHERE arrayExists(id -> id IN {_THEIRS}, examples) OR {_OF_ONE}",
            parameters=author,
            settings=_DONE,
        )
    deleted = {}
    for table, condition in _CONDITIONS.items():
        # Names and conditions are the constants above; the author is bound.
        count = f"SELECT count() FROM moderation.{table} WHERE {condition}"  # noqa: S608
        deleted[table] = int(client.query(count, author).result_rows[0][0])
        if deleted[table]:
            delete = f"ALTER TABLE moderation.{table} DELETE WHERE {condition}"
            client.command(delete, parameters=author, settings=_DONE)
    return deleted


def _naming(author_id: str) -> str:
    """A pattern of a message that names `author_id`, whether or not the rest of it is JSON.

    A string of JSON cannot hold the quotes around the field: what others write matches nothing.
    """
    return rf'"(?:author_id|user_id|reporter_id)"\s*:\s*"{"".join(map(_spelling, author_id))}"'


def _spelling(character: str) -> str:
    """A pattern of every way to write `character` in JSON, and of itself."""
    units = character.encode("utf-16-be").hex(" ", 2).split()
    escaped = "".join(rf"\\u(?i:{unit})" for unit in units)
    short = re.escape(json.dumps(character)[1:-1])
    return f"(?:{re.escape(character)}|{short}|{escaped})"
