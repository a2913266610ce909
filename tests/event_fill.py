"""Many stored events at once, made by the server itself. Only the events: no rollups, and one id a client."""

from datetime import datetime, timedelta

import psycopg


def fill_events(
    database_url: str,
    start: datetime,
    number: int,
    *,
    payload_bytes: int,
    days: int = 3,
    clients: int = 1,
    users: int = 500,
) -> None:
    """`number` events, spread evenly over days and clients (`acme`, `acme1`, …), with `user_id` and `amount`."""
    with psycopg.connect(database_url) as connection:
        for day in range(days):
            connection.execute("SELECT ensure_day_partition('events', %s)", ((start + timedelta(days=day)).date(),))
        connection.execute(
            """
            INSERT INTO events
            SELECT 'acme' || coalesce(nullif(n %% %(clients)s, 0)::text, ''), 'f' || n, 'type.' || n %% 40,
                   moment, moment, moment,
                   jsonb_build_object('user_id', n::bigint / %(clients)s * 7919 %% %(users)s,
                                      'amount', n %% 1000 / 8.0, 'padding', repeat('x', %(padding)s)), '{}'
            FROM (SELECT n, %(start)s + n * %(span)s::interval / %(number)s AS moment
                  FROM generate_series(0, %(number)s - 1) AS n) AS numbered
            """,
            {
                "clients": clients, "users": users, "padding": payload_bytes, "start": start, "number": number,
                "span": timedelta(days=days),
            },
        )  # fmt: skip
        connection.execute(
            "INSERT INTO event_ids SELECT DISTINCT ON (client_id) client_id, event_id, occurred_at, 0 FROM events "
            "ON CONFLICT DO NOTHING"
        )
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("ANALYZE events")
