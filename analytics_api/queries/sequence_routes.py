"""``POST /api/v1/analytics/funnel`` and ``POST /api/v1/analytics/retention``."""

from datetime import timedelta
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Body, Response

from analytics_api.answer_models import FunnelAnswer, RetentionAnswer
from analytics_api.calendar_buckets import Interval
from analytics_api.json_answer import json_answer
from analytics_api.queries.answer_documents import CSV_TOO, csv_response
from analytics_api.queries.csv_lines import safe_text
from analytics_api.queries.funnel import Funnel, FunnelQuestion, measure_funnel
from analytics_api.queries.retention import Retention, RetentionQuestion, measure_retention
from analytics_api.queries.selections import check_range, read_selection
from analytics_api.queries.sequence_forms import FunnelBody, RetentionBody
from analytics_api.reader import Reader
from analytics_api.tenancy import Reading, visible_client
from analytics_api.time_range import resolve_range

_FUNNEL_COLUMNS: Final = ("step", "event_type", "entered", "went_on", "dropped", "conversion", "median_seconds_to_next")
_FUNNEL_EXAMPLE: Final[Any] = {
    "order": {
        "summary": "From the visit to the paid order, within a day",
        "value": {
            "from": "2026-03-01T00:00:00Z",
            "to": "2026-04-01T00:00:00Z",
            "by": "payload.user_id",
            "window_seconds": 86400,
            "steps": [
                {"event_type": "page.viewed"},
                {"event_type": "cart.filled", "payload.items.gte": 1},
                {"event_type": "order.paid"},
            ],
        },
    }
}
_RETENTION_EXAMPLE: Final[Any] = {
    "weeks": {
        "summary": "Who signed up in which week, and was seen again in which",
        "value": {
            "from": "2026-01-05T00:00:00+01:00",
            "to": "2026-03-30T00:00:00+02:00",
            "by": "payload.user_id",
            "interval": "week",
            "tz": "Europe/Berlin",
            "first": {"event_type": "user.signed_up"},
            "returning": {"filter": {"payload.bot.exists": False}},
        },
    }
}


def sequence_routes(reader: Reader, max_picked: int) -> APIRouter:
    """The calls that answer what follows what."""
    router = APIRouter(prefix="/api/v1/analytics", tags=["analytics"])

    @router.post("/funnel", response_model=FunnelAnswer, responses=CSV_TOO)
    async def funnel(api_key: Reading, form: Annotated[FunnelBody, Body(openapi_examples=_FUNNEL_EXAMPLE)]) -> Response:
        """Who took the first step, who went on to the next ones in order within the window, and how fast.

        A key is counted once, by its furthest attempt; steps are different events, ordered by `occurred_at`, then
        `event_id`, all in the range. `ignored` events are of a step, but have no such key.
        """
        question = FunnelQuestion(
            asked=resolve_range(form.from_, form.to),
            client_id=visible_client(api_key, form.client_id),
            by=form.by,
            window=timedelta(seconds=form.window_seconds),
            steps=tuple(read_selection(step, f"/body/steps/{place}") for place, step in enumerate(form.steps)),
        )
        check_range(question.asked)
        measured = await measure_funnel(reader, question, max_picked)
        rows = _funnel_rows(question, measured)
        if form.format == "csv":
            lines = [[safe_text(cell) if isinstance(cell, str) else cell for cell in row.values()] for row in rows]
            return csv_response([list(_FUNNEL_COLUMNS), *lines])
        document: dict[str, Any] = {
            "from": question.asked.start,
            "to": question.asked.end,
            "by": form.by,
            "window_seconds": form.window_seconds,
            "source": "events",
            "ignored": measured.ignored,
            "entered": measured.entered[0],
            "completed": measured.entered[-1],
            "conversion": _share(measured.entered[-1], measured.entered[0]),
            "steps": rows,
        }
        return json_answer(document)

    @router.post("/retention", response_model=RetentionAnswer, responses=CSV_TOO)
    async def retention(
        api_key: Reading, form: Annotated[RetentionBody, Body(openapi_examples=_RETENTION_EXAMPLE)]
    ) -> Response:
        """Keys by the day or week of their first event in the range, and how many came back in each one since.

        `returned[0]` are those who came back within the cohort's own period. First and return are told apart by
        `occurred_at`, then `event_id`. Weeks begin on Monday.
        """
        question = RetentionQuestion(
            asked=resolve_range(form.from_, form.to),
            client_id=visible_client(api_key, form.client_id),
            by=form.by,
            interval=Interval(form.interval),
            zone=ZoneInfo(form.tz),
            first=read_selection(form.first, "/body/first"),
            returning=read_selection(form.returning, "/body/returning"),
        )
        check_range(question.asked)
        measured = await measure_retention(reader, question, max_picked)
        if form.format == "csv":
            return csv_response(_retention_lines(question, measured))
        document: dict[str, Any] = {
            "from": question.asked.start,
            "to": question.asked.end,
            "by": form.by,
            "interval": form.interval,
            "tz": form.tz,
            "source": "events",
            "ignored": measured.ignored,
            "cohorts": [
                {"cohort": _local(question, cohort.start), "size": cohort.size, "returned": cohort.returned}
                for cohort in measured.cohorts
            ],
        }
        return json_answer(document)

    return router


def _funnel_rows(question: FunnelQuestion, funnel: Funnel) -> list[dict[str, Any]]:
    rows = []
    for place, entered in enumerate(funnel.entered):
        is_last = place == len(funnel.entered) - 1
        went_on = None if is_last else funnel.entered[place + 1]
        rows.append(
            {
                "step": place + 1,
                "event_type": question.steps[place][0],
                "entered": entered,
                "went_on": went_on,
                "dropped": None if went_on is None else entered - went_on,
                "conversion": _share(entered, funnel.entered[0]),
                "median_seconds_to_next": funnel.median_seconds[place],
            }
        )
    return rows


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _retention_lines(question: RetentionQuestion, retention: Retention) -> list[list[Any]]:
    lines: list[list[Any]] = [["cohort", "size", "period", "returned"]]
    for cohort in retention.cohorts:
        start = _local(question, cohort.start)
        lines += [[start, cohort.size, period, number] for period, number in enumerate(cohort.returned)]
    return lines


def _local(question: RetentionQuestion, moment: Any) -> str:
    local: str = moment.astimezone(question.zone).isoformat()
    return local
