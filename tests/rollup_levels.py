"""Every coarser rollup against what it must be: the minute rows of its span that lie before compacted_until."""

from collections.abc import Iterator
from typing import Any

from psycopg import Connection

_INTAKE = "sum(stored) || ' ' || sum(duplicates) || ' ' || sum(conflicting) || ' ' || sum(failed)"
_COARSE_INTAKE = "stored || ' ' || duplicates || ' ' || conflicting || ' ' || failed"

# The minute rows, what a coarser row tells, and what it must tell.
_EVENTS = ("rollup_events_minute", "events || ' ' || bytes", "sum(events) || ' ' || sum(bytes)")
_LATENCY = ("rollup_latency_minute", "events::text", "sum(events)::text")
_OF_INTAKE = ("rollup_intake_minute", _COARSE_INTAKE, _INTAKE)
_GROUPS = {
    "all": "GROUPING SETS ((at, b), (at, b, client_id), (at, b, type), (at, b, client_id, type))",
    "no pairs": "GROUPING SETS ((at, b), (at, b, client_id), (at, b, type))",
    "types": "at, b, type",
    "none": "at, b",
    "clients": "at, b, client_id",
}


def _query(table: str, source: tuple[str, str, str], level: str, groups: str, kind: str) -> str:
    """Rows that are on one side only, or differ. In one statement: compacting may go on meanwhile."""
    minute_table, told, summed = source
    type_ = "NULL" if kind == "intake" else "event_type"
    bucket = "bucket" if kind == "latency" else "0"
    coarse_type = "''" if kind == "intake" else "event_type"
    client = "NULL" if groups in ("types", "none") else "client_id"
    named_type = "NULL" if groups in ("none", "clients") else "type"
    return f"""
        WITH expected AS (
            SELECT at, coalesce({client}, '') AS client_id, coalesce({named_type}, '') AS type, b, {summed} AS value
            FROM (SELECT *, date_trunc('{level}', bucket_start, 'UTC') AS at, {type_}::text COLLATE "C" AS type,
                         {bucket} AS b
                  FROM {minute_table} WHERE bucket_start < (SELECT compacted_until FROM rollup_progress)) AS m
            GROUP BY {_GROUPS[groups]}
        ), coarse AS (
            SELECT bucket_start AS at, client_id, {coarse_type}::text AS type, {bucket} AS b, {told} AS value
            FROM {table}
        )
        SELECT at, client_id, type, b, coarse.value, expected.value
        FROM coarse FULL JOIN expected USING (at, client_id, type, b)
        WHERE coarse.value IS DISTINCT FROM expected.value ORDER BY 1, 2, 3, 4
    """


QUERIES = {
    table: _query(table, source, level, groups, kind)
    for table, source, level, groups, kind in (
        ("rollup_events_minute_sums", _EVENTS, "minute", "types", "events"),
        ("rollup_events_hour", _EVENTS, "hour", "all", "events"),
        ("rollup_events_day", _EVENTS, "day", "all", "events"),
        ("rollup_latency_minute_sums", _LATENCY, "minute", "none", "latency"),
        ("rollup_latency_hour", _LATENCY, "hour", "no pairs", "latency"),
        ("rollup_latency_day", _LATENCY, "day", "all", "latency"),
        ("rollup_intake_hour", _OF_INTAKE, "hour", "clients", "intake"),
        ("rollup_intake_day", _OF_INTAKE, "day", "clients", "intake"),
    )
}


def level_differences(connection: Connection[Any]) -> Iterator[str]:
    """A sentence for each coarser rollup that is not the sum of its minutes."""
    for table, query in QUERIES.items():
        found = connection.execute(query.encode()).fetchall()
        if found:
            at, client_id, type_, bucket, told, expected = found[0]
            where = f"{at} {client_id or 'all clients'} {type_ or 'all types'} {bucket}"
            yield f"{table} is not the sum of its minutes in {len(found)} rows: {told} for {expected}, as at {where}"
