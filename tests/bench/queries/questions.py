"""The questions, asked over real HTTP of the real analytics API, a process of its own."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx2
import psycopg

from deploy.embedded.local_address import free_port
from deploy.embedded.postgres_server import EmbeddedPostgres
from shared.api_keys import Scope
from shared.key_store import create_key
from tests.bench.process_costs import cpu_seconds
from tests.bench.queries.exports import Exported, export_all
from tests.bench.queries.history import CLIENTS, DAYS, TYPES
from tests.gateway_process import ServiceProcess
from tests.waiting import eventually

_SECRET = "the pepper of the benchmarks"
_WARM_UP = 20
_COUNTS = "/api/v1/analytics/events-by-type"
_PROCESSING = "/api/v1/analytics/processing-metrics"
_EVENTS = "/api/v1/events"
_LOGS = "/api/v1/audit/logs"
_QUERY = "/api/v1/analytics/query"
_FUNNEL = "/api/v1/analytics/funnel"
_RETENTION = "/api/v1/analytics/retention"
_SLOW_SHARE = 10


@dataclass(frozen=True)
class Question:
    """One call, what it must not take longer than, and the plain query over events that it saves."""

    name: str
    path: str
    parameters: Mapping[str, Any]
    """Of the query string; of a question about payloads, of a JSON body."""
    target_ms: float | None = None
    plain_sql: str = ""
    reads: str = ""
    """The client whose key asks; an admin's asks for all."""
    is_slow: bool = False
    """It takes long: no target, and a tenth of the runs."""


@dataclass(frozen=True)
class Answered:
    """What a question took, in ms; ``refused`` tells why it could not be asked."""

    question: Question
    p50_ms: float = 0.0
    p95_ms: float = 0.0
    cpu_ms: float = 0.0
    """CPU of the API and of PostgreSQL for one answer: what is left of the figures on a busy machine."""
    answer_bytes: int = 0
    plain_ms: float | None = None
    refused: str = ""


@dataclass(frozen=True)
class Asked:
    """All answers on one size of history."""

    events: int
    loading_seconds: float
    versions: Mapping[str, str]
    answers: list[Answered] = field(default_factory=list)
    exports: list[Exported] = field(default_factory=list)


def ask_all(
    postgres: EmbeddedPostgres, redis_url: str, folder: Path, end_us: int, runs: int, tell: Callable[[str], None]
) -> tuple[list[Answered], list[Exported]]:
    """Start the API, ask every question ``runs`` times, warm, then export. Blocking; ``tell`` hears of each answer."""
    port, database_url = free_port(), postgres.url
    environment = {
        "DATABASE_URL": database_url, "REDIS_URL": redis_url, "SECRET_KEY": _SECRET, "WEIR_ANALYTICS_PORT": str(port),
        "WEIR_LOG_LEVEL": "warning",
    }  # fmt: skip
    keys = {client: asyncio.run(_make_key(database_url, client)) for client in ("", CLIENTS[0])}
    api = ServiceProcess(["analytics", "run"], folder, environment)
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=900) as http:
            eventually(lambda: _is_ready(http), within_seconds=30, what="the analytics API ready")
            answers = []
            for one in questions(end_us):
                pids = (api.process.pid, postgres.pid)
                answers.append(answer := _ask(http, keys[one.reads], one, database_url, runs, pids))
                figures = f"p50 {answer.p50_ms:.1f} ms, p95 {answer.p95_ms:.1f} ms, CPU {answer.cpu_ms:.1f} ms"
                tell(f"{one.name}: {answer.refused or figures}")
            return answers, export_all(http, keys[""], api.process.pid, end_us)
    finally:
        api.stop()


def questions(end_us: int) -> list[Question]:
    """What is asked; ranges end with the history."""
    end = datetime.fromtimestamp(end_us / 1e6, UTC)

    def last(days: float) -> dict[str, str]:
        return {"from": (end - timedelta(days=days)).isoformat(), "to": end.isoformat()}

    def plain(select: str, days: int) -> str:
        start = end - timedelta(days=days)
        return (
            f"SELECT {select}, count(*) FROM events WHERE occurred_at >= '{start}' AND occurred_at < '{end}' GROUP BY 1"
        )

    client, all_days, month = CLIENTS[0], last(DAYS), last(30)
    hourly = {**month, "interval": "hour"}
    of_type = {**all_days, "event_type": TYPES[7], "limit": "50"}
    in_kathmandu = {**all_days, "interval": "day", "tz": "Asia/Kathmandu", "group_by": "none"}
    user, amount, of_client = "payload.user_id", "payload.amount", {"client_id": client}
    unique_users = {**last(1), **of_client, "count_unique": user}
    amounts = {**last(1), **of_client, "sum": amount, "p95": amount, "group_by": "event_type"}
    week = {**last(7), **of_client}
    steps = [{"event_type": TYPES[number]} for number in (0, 1, 2)]
    latencies = (
        "SELECT count(*), percentile_disc(ARRAY[.5, .95, .99]) WITHIN GROUP (ORDER BY stored_at - received_at) "
        f"FROM events WHERE occurred_at >= '{end - timedelta(days=7)}' AND occurred_at < '{end}'"
    )
    return [
        Question("events-by-type, 90 days", _COUNTS, all_days, 25, plain("event_type", DAYS)),
        Question("the same, one client's key", _COUNTS, all_days, 25, reads=client),
        Question(
            "hourly series, 30 days", _COUNTS, {**hourly, "group_by": "none"}, 25,
            plain("date_trunc('hour', occurred_at)", 30),
        ),
        Question("the same, one type", _COUNTS, {**hourly, "event_type": TYPES[3]}, 25),
        Question("the same, each of 40 types", _COUNTS, hourly, is_slow=True),
        Question("daily series in Kathmandu, 90 days", _COUNTS, in_kathmandu),
        Question("10 types of 30 days, compared", _COUNTS, {**month, "top": "10", "compare": "previous"}),
        Question("processing metrics, 7 days", _PROCESSING, last(7), 25, latencies),
        Question("the same, by type", _PROCESSING, {**last(7), "group_by": "event_type"}),
        Question("the same, one client's key", _PROCESSING, {**last(7), "group_by": "event_type"}, reads=client),
        Question("50 events of a type", _EVENTS, of_type, 15),
        Question("the same, one client's key", _EVENTS, of_type, 15, reads=client),
        Question("50 calls of a client", _LOGS, {**all_days, "client_id": client, "limit": "50"}, 15),
        Question("50 failed calls of all", _LOGS, {**all_days, "endpoint": "failed", "limit": "50"}, 15),
        Question("unique users of a client by type, 1 day", _COUNTS, unique_users, 300),
        Question("the same, all types together", _QUERY, unique_users, 300),
        Question("amounts of a client by type, 1 day", _QUERY, amounts),
        Question("unique users of a client, 7 days", _QUERY, {**week, "count_unique": user}, is_slow=True),
        Question("top 10 users of a client, 7 days", _QUERY, {**week, "group_by": [user], "top": 10}, is_slow=True),
        Question("funnel of 3 steps, a client, 7 days", _FUNNEL, {**week, "by": user, "steps": steps}, is_slow=True),
        Question("retention by day, a client, 7 days", _RETENTION, {**week, "by": user}, is_slow=True),
        Question("unique users of all clients, 1 day", _QUERY, {**last(1), "count_unique": user}, is_slow=True),
    ]  # fmt: skip


def _ask(
    http: httpx2.Client, key: str, question: Question, database_url: str, runs: int, pids: tuple[int, ...]
) -> Answered:
    took_ms: list[float] = []
    cpu_before = 0.0
    in_body = question.path in (_QUERY, _FUNNEL, _RETENTION)
    asked: dict[str, Any] = {"method": "POST" if in_body else "GET"}
    asked["json" if in_body else "params"] = dict(question.parameters)
    warm_up, runs = (2, max(runs // _SLOW_SHARE, 5)) if question.is_slow else (_WARM_UP, runs)
    for number in range(warm_up + runs):
        if number == warm_up:
            cpu_before = sum(map(cpu_seconds, pids))
        began = time.perf_counter()
        answer = http.request(url=question.path, headers={"X-API-Key": key}, **asked)
        if number >= warm_up:
            took_ms.append((time.perf_counter() - began) * 1000)
        if answer.status_code == 422:
            return Answered(question, refused=f"not asked: {answer.json()['detail']}")
        assert answer.status_code == 200, answer.text
    cpu_ms = 1000 * (sum(map(cpu_seconds, pids)) - cpu_before) / runs
    plain_ms = _plain_ms(database_url, question.plain_sql) if question.plain_sql else None
    return Answered(question, median(took_ms), quantiles(took_ms, n=20)[-1], cpu_ms, len(answer.content), plain_ms)


def _plain_ms(database_url: str, query: str) -> float:
    """The middle of three runs, with the settings that the server has."""
    took_ms = []
    with psycopg.connect(database_url, autocommit=True) as connection:
        for _ in range(3):
            began = time.perf_counter()
            connection.execute(query.encode()).fetchall()
            took_ms.append((time.perf_counter() - began) * 1000)
    return median(took_ms)


def _is_ready(http: httpx2.Client) -> bool:
    try:
        return http.get("/readyz").status_code == 200
    except httpx2.TransportError:
        return False


async def _make_key(database_url: str, client_id: str) -> str:
    scopes = frozenset((Scope.READ if client_id else Scope.ADMIN,))
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        _, key = await create_key(
            connection, _SECRET.encode(), client_id=client_id or "operators", name="bench", scopes=scopes, rate_limit=0
        )
        return key
