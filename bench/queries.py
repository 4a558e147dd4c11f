# ruff: noqa: E501 (SQL reads best one expression a line)
"""How long each query of the library takes on generated rows, and what the rows take on disk.

    nice python -m bench.queries --rows 50000000 --path /var/tmp/breakwater-50m

generates the store inside the engine (90 days, 2 million authors, 200 communities, 5 % moderated,
1 % labelled; content ids are random, the worst case for compression and for indexes) unless it is
there, runs each query once cold and three times warm on two threads, and prints a table in
Markdown, what the tables take on disk, and with `--explain` what each index leaves to be read. On
a machine that does other work the CPU seconds tell more than the clock: two cores of their own need
about half of them.

28-day queries on `--rows 15555555 --days 28` read as many rows as on 50 million over 90 days.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from clickhouse_connect.driver.client import Client

from connectors.clickhouse import ClickHouseWriter
from connectors.query_library import bind, list_queries, load, run

END = datetime(2026, 11, 17, tzinfo=UTC)

# Every table is drawn from the row number alone, so that the tables fit together.
COLUMNS = """
    cityHash64(number, 'id')                                      AS id,
    hex(id)                                                       AS content_id,
    toDateTime64('{start}', 3, 'UTC') + toIntervalMillisecond(intDiv(number * {days} * 86400000, {rows})) AS created_at,
    cityHash64(number, 'author')                                  AS a,
    -- Few authors write much, many write little.
    concat('user-', toString(toUInt32(2000000 * pow(a % 1000003 / 1000003, 2)))) AS author,
    toDateTime64('2026-11-16 00:00:00', 3, 'UTC') - toIntervalSecond(cityHash64(author) % (700 * 86400)) AS author_created_at,
    concat('community-', toString(toUInt8(200 * pow(cityHash64(number, 'community') % 10007 / 10007, 2)))) AS community,
    ['post', 'comment', 'comment', 'message'][id % 4 + 1]         AS kind,
    ['en', 'en', 'en', 'de', 'es', 'fr', 'pt', ''][id % 8 + 1]    AS language,
    cityHash64(number, 'violation')                               AS v,
    v % 100 < 5                                                   AS moderated,
    ['spam', 'spam', 'spam', 'harassment', 'hate', 'threat', 'sexual'][intDiv(v, 100) % 7 + 1] AS bad_category,
    if(moderated, bad_category, '')                               AS category,
    multiIf(NOT moderated, 'allow', v % 1000 < 600, 'block', 'review') AS action,
    if(moderated, 0.6 + (v % 3989) / 9973, 0) AS bad_score,
    cityHash64(number, 'scores')                                  AS s,
    map(
        'hate', toFloat32(if(category = 'hate', bad_score, pow(bitAnd(bitShiftRight(s, 0), 255) / 256, 4) / 2)),
        'harassment', toFloat32(if(category = 'harassment', bad_score, pow(bitAnd(bitShiftRight(s, 8), 255) / 256, 4) / 2)),
        'threat', toFloat32(if(category = 'threat', bad_score, pow(bitAnd(bitShiftRight(s, 16), 255) / 256, 4) / 2)),
        'sexual', toFloat32(if(category = 'sexual', bad_score, pow(bitAnd(bitShiftRight(s, 24), 255) / 256, 4) / 2)),
        'self_harm', toFloat32(if(category = 'self_harm', bad_score, pow(bitAnd(bitShiftRight(s, 32), 255) / 256, 4) / 2)),
        'spam', toFloat32(if(category = 'spam', bad_score, pow(bitAnd(bitShiftRight(s, 40), 255) / 256, 4) / 2)),
        'violent_extremism', toFloat32(if(category = 'violent_extremism', bad_score, pow(bitAnd(bitShiftRight(s, 48), 255) / 256, 4) / 2)),
        'csam', toFloat32(if(category = 'csam', bad_score, pow(bitAnd(bitShiftRight(s, 56), 255) / 256, 4) / 2))
    )                                                             AS scores,
    arrayConcat(
        if(moderated AND v % 3 > 0, [concat('rule-', category, '-', toString(v % 40))], []),
        if(id % 50 = 0, [['obfuscation.leet', 'obfuscation.zero_width', 'obfuscation.spacing'][v % 3 + 1]], [])
    )                                                             AS rules,
    created_at + toIntervalMillisecond(20 + id % 150)             AS decided_at
"""
LOGS = """
INSERT INTO moderation.moderation_logs (
    decision_id, content_id, revision, user_id, community, kind, action, category, reason, stage,
    rule, top_category, top_score, scores, rules, signals, final, mode, degraded, policy_version,
    ruleset_version, model_versions, created_at, author_created_at, language, timestamp, latency_ms,
    stage_ms
)
SELECT
    concat(hex(id), hex(a)), content_id, 0, author, community, kind, {decided}
    if(moderated, concat(category, ' ', toString(round(bad_score, 2)), ': ', if(empty(rules), 'text-fast of text-fast', concat(rules[1], ' of rules'))), 'nothing above the policy''s thresholds'),
    multiIf(NOT moderated, '', empty(rules), 'text-fast', 'rules'),
    multiIf(NOT moderated, '', empty(rules), 'text-fast', rules[1]),
    if(moderated, category, 'spam'), if(moderated, bad_score, scores['spam']), scores, rules,
    if(moderated, concat('[{{"stage":"text-fast","rule":"text-fast","category":"', category, '","score":', toString(round(bad_score, 4)), ',"evidence":[]}}]'), '[]'),
    true, {mode}, [], concat('policy-', toString(intDiv(toDayOfYear(created_at), 14))), 'rules-7',
    map('text-fast', concat('v', toString(intDiv(toDayOfYear(created_at), 30))), 'fusion', 'v2'),
    created_at, author_created_at, language, decided_at, exp(1 + (id % 1000) / 400),
    if(id % 16 = 0, map('text_score', toFloat32(exp((id % 1009) / 400)), 'fusion', toFloat32((id % 1013) / 500)), map())
FROM (SELECT {columns} FROM numbers({first}, {count})) WHERE {where}
"""
# What is in shadow blocks a part of what is sent to review or allowed now.
IN_SHADOW = "if(s % 20 = 0, 'block', action), if(s % 20 = 0, bad_category, category),"
OUTPUTS = """
INSERT INTO moderation.model_outputs (
    content_id, revision, model, model_version, model_prediction, confidence, scores, created_at
)
SELECT content_id, 0, 'text-fast', concat('v', toString(intDiv(toDayOfYear(created_at), 30))),
    category, if(moderated, bad_score, 1 - scores['spam']), scores, created_at
FROM (SELECT {columns} FROM numbers({first}, {count}))
"""
CONTENT = """
INSERT INTO moderation.content (
    content_id, revision, created_at, author_id, author_created_at, kind, community, language,
    parent_id, text, image_ids, image_uris, action, decided_at
)
SELECT content_id, 0, created_at, author, author_created_at, kind, community, language, '',
    concat(
        arrayStringConcat(arrayMap(i -> splitByChar(' ', '{words}')[(intHash64(bitXor(id, i))) % 100 + 1], range(6 + id % 14)), ' '),
        if(category = 'spam', concat(' https://deal-', toString(v % 500), '.example/', lower(hex(id % 65536))), '')
    ), [], [], action, decided_at
FROM (SELECT {columns} FROM numbers({first}, {count}))
WHERE moderated OR created_at >= toDateTime64('{start}', 3, 'UTC') + INTERVAL {days} - 30 DAY
"""
LABELS = """
INSERT INTO moderation.human_labels (
    label_id, content_id, revision, true_label, action, reviewer_id, source, labeled_at
)
SELECT concat(reviewer, '-', content_id), content_id, 0,
    if(cityHash64(reviewer, id) % 8 = 0, if(moderated, '', 'spam'), category) AS truth,
    if(truth = '', 'allow', 'block'), reviewer, 'review', decided_at + toIntervalSecond(60 + id % 40000)
FROM (
    SELECT {columns}, concat('moderator-', toString(id % 50)) AS one, concat('moderator-', toString(id % 50 + 1)) AS other
    FROM numbers({first}, {count}) WHERE number % 100 = 0
)
ARRAY JOIN if(id % 5 = 0, [one, other], [one]) AS reviewer
"""
APPEALS = """
INSERT INTO moderation.appeals (
    appeal_id, content_id, revision, decision_id, user_id, category, policy_version, statement,
    state, reviewer_id, appealed_at, resolved_at
)
SELECT concat('a-', content_id), content_id, 0, '', author, category,
    concat('policy-', toString(intDiv(toDayOfYear(created_at), 14))), '',
    ['open', 'granted', 'denied', 'denied'][id % 4 + 1] AS state, '', decided_at + toIntervalSecond(id % 9000),
    if(state = 'open', toDateTime64(0, 3, 'UTC'), decided_at + toIntervalSecond(9000 + id % 90000))
FROM (SELECT {columns} FROM numbers({first}, {count})) WHERE action = 'block' AND id % 10 = 0
"""
LETTERS = """
INSERT INTO moderation.dead_letters
SELECT concat('{{', content_id), concat('not JSON: at byte ', toString(id % 99)), 'decode',
    'content.submitted.v1', id % 8, number, '', 0, created_at
FROM (SELECT number, {columns} FROM numbers({first}, {count})) WHERE number % 500 = 0
"""
WORDS = (
    "the of and to in is you that it he was for on are as with his they at be this have from or"
    " had by hot but some what there we can out other were all your when up use word how said an"
    " each she which do their time if will way about many then them would write like so these her"
    " long make thing see him two has look more day could go come did my sound no most number who"
)


def generate(client: Client, rows: int, days: int) -> None:
    """Fill the tables with `rows` decisions and what belongs to them, a day at a time."""
    start = f"{END - timedelta(days=days):%Y-%m-%d %H:%M:%S}"
    for day in range(days):
        first = rows * day // days
        count = rows * (day + 1) // days - first
        values = {"start": start, "days": days, "rows": rows, "first": first, "count": count}
        columns = COLUMNS.format(**values)
        # The rows are distinct: to look for repeats at the insert takes thrice the time. Parts of
        # the last days are as a server has them, where FINAL need not look for repeats in a part.
        client.command(f"SET optimize_on_insert = {int(day >= days - 8)}")
        for sql, extra in (
            (LOGS, {"mode": "'live'", "where": "true", "decided": "action, category,"}),
            (LOGS, {"mode": "'shadow'", "where": "id % 50 = 1", "decided": IN_SHADOW}),
            (OUTPUTS, {}), (CONTENT, {"words": WORDS}), (APPEALS, {}), (LETTERS, {}),
        ):  # fmt: skip
            client.command(sql.format(columns=columns, **values, **extra))
        print(f"day {day + 1} of {days}", file=sys.stderr, flush=True)
    # All at once: each insert of labels looks their contents up in all the days there are.
    values = {"start": start, "days": days, "rows": rows, "first": 0, "count": rows}
    client.command(LABELS.format(columns=COLUMNS.format(**values), **values))


# The index, the query that it is for, and the parameters that make it one.
CHOICES: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("partition and day first in the order", "latency_by_stage", {}),
    ("content_id_bloom of moderation_logs", "content_history", {}),
    ("author first in the order of author_posts", "author_history", {}),
    ("text_tokens of content", "text_search", {"word": "zyzzyva"}),
    ("day and model first in the order of labelled_outputs", "false_positives", {}),
    ("hour first in the order of versions_by_hour", "version_changes", {}),
    ("author first in the order of author_posts", "repeat_offenders", {}),
    ("day and content_id at the head of the order", "shadow_newly_blocked", {}),
    ("labelled_content apart from content", "labelled_dataset", {}),
)


def explain(client: Client, given: dict[str, str]) -> None:
    """Print, for each choice of `CHOICES`, what each index of the plan leaves of the granules."""
    print("\n| choice | query | table | index | parts | granules |\n|---|---|---|---|---|---|")
    for choice, name, params in CHOICES:
        query = load(name)
        wanted = {p.name: given[p.name] for p in query.parameters if p.name in given} | params
        values = bind(client, query, wanted)
        plan = client.query(f"EXPLAIN indexes = 1 {query.sql}", values).result_rows
        for table, index, parts, granules in index_uses([line for (line,) in plan]):
            print(f"| {choice} | {name} | {table} | {index} | {parts} | {granules} |", flush=True)


def index_uses(plan: list[str]) -> list[tuple[str, str, str, str]]:
    """Table, index, parts and granules left of those before, of each index that leaves some out."""
    uses = []
    table = index = parts = ""
    for line in (each.strip(" │└├─") for each in plan):
        word, _, rest = line.partition(": ")
        if line.startswith("ReadFromMergeTree"):
            table, index = line.partition("(moderation.")[2].rstrip(")"), ""
        elif line in ("Min-Max", "MinMax", "Partition", "PrimaryKey", "Skip"):
            index = line
        elif word == "Name" and index:
            index = rest
        elif word == "Parts" and index:
            parts = rest
        elif word == "Granules" and index:
            left, _, before = rest.partition("/")
            if int(left) < int(before):
                uses.append((table, index, parts, rest))
    return uses


def measure(client: Client, sql: str, values: dict[str, str]) -> tuple[float, float, float, int]:
    """Seconds cold; of three warm runs the median seconds and CPU seconds; rows of the result."""
    seconds, cpu = [], []
    rows = 0
    for _ in range(4):
        started, used = time.perf_counter(), time.process_time()
        rows = len(client.query(sql, values).result_rows)
        seconds.append(time.perf_counter() - started)
        cpu.append(time.process_time() - used)
    return seconds[0], statistics.median(seconds[1:]), statistics.median(cpu[1:]), rows


def main() -> None:
    """Generate unless it is there, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=50_000_000)
    parser.add_argument("--days", type=int, default=90, help="how many days the rows spread over")
    parser.add_argument("--path", type=Path, required=True)
    parser.add_argument("--only", nargs="*", help="names of queries")
    parser.add_argument("--explain", action="store_true", help="what each index leaves to be read")
    options = parser.parse_args()
    store = ClickHouseWriter(f"chdb://{options.path}")
    client = store.client
    store.apply_schema()
    client.command("SET max_threads = 2")
    if client.command("SELECT count() FROM moderation.moderation_logs") == 0:
        started = time.perf_counter()
        generate(client, options.rows, options.days)
        print(f"generated in {time.perf_counter() - started:.0f} s", file=sys.stderr)
    content_id, user_id = client.query(
        "SELECT content_id, user_id FROM moderation.moderation_logs WHERE action = 'block' LIMIT 1"
    ).result_rows[0]
    given = {"content_id": content_id, "user_id": user_id, "word": "example"}
    # Those of a store that was just filled would be timed, too.
    client.command("SYSTEM STOP MERGES")
    stored = client.command("SELECT count() FROM moderation.moderation_logs")
    print(f"{stored:,} decisions stored, load average {os.getloadavg()[0]:.1f}\n")
    print("| query | cold s | warm s | warm CPU s | rows |\n|---|---|---|---|---|")
    for query in list_queries():
        if options.only and query.name not in options.only:
            continue
        params = {p.name: given[p.name] for p in query.parameters if p.name in given}
        values = bind(client, query, params)
        cold, warm, cpu, rows = measure(client, query.sql, values)
        print(f"| {query.name} | {cold:.2f} | {warm:.2f} | {cpu:.2f} | {rows} |", flush=True)
    if options.explain:
        explain(client, given)
    storage = run(client, "storage")
    print(f"\n| {' | '.join(storage.columns)} |\n|{'---|' * len(storage.columns)}")
    for row in storage.rows:
        print(f"| {' | '.join(map(str, row))} |")
    store.close()


if __name__ == "__main__":
    main()
