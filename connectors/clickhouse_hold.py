"""Legal holds: an author's contents are kept whatever their age, and are not forgotten."""

from __future__ import annotations

from clickhouse_connect.driver.client import Client

from connectors.clickhouse import StoreError

_TEXTS = ("content", "labelled_content")
_MARK = (
    "ALTER TABLE moderation.{table:Identifier} UPDATE legal_hold = {held:Bool}"
    " WHERE author_id = {author:String} AND legal_hold != {held:Bool}"
)
_RELEASE = "ALTER TABLE moderation.legal_holds DELETE WHERE author_id = {author:String}"
_IS_HELD = "SELECT joinGet('moderation.legal_holds', 'held', {author:String})"
_COUNT = "SELECT count() FROM moderation.content FINAL WHERE author_id = {author:String}"


def hold_author(client: Client, author_id: str) -> int:
    """Keep what `author_id` has posted and will post; the number of contents there now.

    Raises:
        StoreError: `author_id` is empty.
        ClickHouseError: the server refuses or went away; running it again finishes the work.
    """
    if not is_held(client, author_id):
        # Before the rows that are there: none falls in between.
        client.insert("legal_holds", [[author_id]], ["author_id"], database="moderation")
    _mark(client, author_id, held=True)
    return int(client.query(_COUNT, {"author": author_id}).result_rows[0][0])


def release_author(client: Client, author_id: str) -> None:
    """End the hold: retention applies again, and the author can be forgotten.

    Raises:
        ClickHouseError: as `hold_author`.
    """
    client.command(_RELEASE, {"author": author_id}, settings={"mutations_sync": 2})
    _mark(client, author_id, held=False)


def is_held(client: Client, author_id: str) -> bool:
    """Whether `author_id` is under legal hold.

    Raises:
        StoreError: it is empty, which is nobody's id.
    """
    if not author_id:
        raise StoreError("an author id is required")
    return bool(client.query(_IS_HELD, {"author": author_id}).result_rows[0][0])


def _mark(client: Client, author_id: str, *, held: bool) -> None:
    for table in _TEXTS:
        values = {"table": table, "author": author_id, "held": held}
        client.command(_MARK, values, settings={"mutations_sync": 2})
