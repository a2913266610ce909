"""Moments as a parameter, on a real server."""

import asyncio
from datetime import UTC, datetime

import psycopg

from analytics_api.moments import Moments, register_moments
from analytics_api.rollup_levels import to_us

MOMENTS = [datetime(1970, 1, 1, tzinfo=UTC), datetime(1900, 5, 1, 7, 0, 0, 1, UTC), datetime(9999, 12, 31, tzinfo=UTC)]


def test_moments_arrive_as_they_are_and_none_is_an_empty_array(database_url: str) -> None:
    async def ask(moments: Moments) -> list[datetime]:
        async with await psycopg.AsyncConnection.connect(database_url) as connection:
            register_moments(connection)
            cursor = await connection.execute("SELECT unnest(%s::timestamptz[])", [moments])
            return [moment for (moment,) in await cursor.fetchall()]

    assert asyncio.run(ask(Moments(map(to_us, MOMENTS)))) == MOMENTS
    assert asyncio.run(ask(Moments())) == []
