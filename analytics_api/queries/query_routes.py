"""``GET`` and ``POST /api/v1/analytics/query``: one question, in a query string or in a JSON body."""

from collections.abc import Iterable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Depends, Query, Request, Response
from pydantic import ValidationError

from analytics_api.answer_models import QueryAnswer
from analytics_api.parameters import only_known
from analytics_api.queries.answer_documents import CSV_TOO, answer_csv, answer_json
from analytics_api.queries.event_measures import measure_events
from analytics_api.queries.measures import PERCENTILE
from analytics_api.queries.payload_path import PREFIX
from analytics_api.queries.query_form import QueryBody, QueryForm
from analytics_api.queries.question import Question, read_question
from analytics_api.reader import Reader
from analytics_api.tenancy import Reading, visible_client
from shared.problems import FieldError, Problem

_EXAMPLES: Final[Any] = {
    "uniques": {
        "summary": "Buyers and revenue by plan, the three largest plans and the rest",
        "value": {
            "from": "2026-03-01T00:00:00Z",
            "to": "2026-04-01T00:00:00Z",
            "event_type": "order.paid",
            "count_unique": "payload.user_id",
            "sum": "payload.amount",
            "p95": "payload.amount",
            "group_by": ["payload.plan"],
            "top": 3,
        },
    },
    "filters": {
        "summary": "Large or foreign orders by day in Berlin, and the same over the month before",
        "value": {
            "from": "2026-03-01T00:00:00+01:00",
            "to": "2026-04-01T00:00:00+02:00",
            "interval": "day",
            "tz": "Europe/Berlin",
            "payload.test.exists": False,
            "filter": {"or": [{"payload.amount.gte": 1000}, {"payload.country.in": ["AT", "CH"]}]},
            "compare": "previous",
        },
    },
}


def query_routes(reader: Reader, max_rows: int) -> APIRouter:
    """The calls that answer a question about what is in the events."""
    router = APIRouter(prefix="/api/v1/analytics", tags=["analytics"])

    async def answer(question: Question, format_: str) -> Response:
        measured = await measure_events(reader, question, max_rows)
        return answer_csv(question, measured) if format_ == "csv" else answer_json(question, measured)

    @router.get(
        "/query",
        response_model=QueryAnswer,
        responses=CSV_TOO,
        dependencies=[Depends(only_known(QueryForm, PREFIX, PERCENTILE))],
    )
    async def query(request: Request, api_key: Reading, form: Annotated[QueryForm, Query()]) -> Response:
        """Measures of stored events, by `occurred_at`: `count`, and uniques, sums, averages, extremes and percentiles
        of a payload field; filtered, in groups, in buckets without holes, beside the period before.

        Filters: `payload.<path>=value`, or `payload.<path>.<operator>=value` with `in`, `exists`, `gt`, `gte`, `lt`,
        `lte`; all must hold. Sums and averages are exact; `pNN` is PostgreSQL's percentile_cont: exact, and
        interpolated between values. `ignored` counts, by measure, events whose value is there but cannot be used.
        `source` tells whether rollups answered, or events were read.
        """
        client_id = visible_client(api_key, form.client_id)
        extras = _beyond(QueryForm, request.query_params.multi_items())
        return await answer(read_question(form, client_id, extras, "/query"), form.format)

    @router.post("/query", response_model=QueryAnswer, responses=CSV_TOO)
    async def post_query(
        api_key: Reading,
        form: Annotated[QueryBody, Body(openapi_examples=_EXAMPLES)],
    ) -> Response:
        """The same question as a JSON body, by the same names; `filter` nests with `and` and `or`."""
        client_id = visible_client(api_key, form.client_id)
        extras = (form.model_extra or {}).items()
        return await answer(read_question(form, client_id, extras, "/body"), form.format)

    return router


async def answer_by_type(reader: Reader, max_rows: int, api_key: Any, request: Request) -> Response:
    """The answer of events-by-type where it asks for what rollups do not know: the same question, by type.

    Raises Problem invalid-query, as ``GET /api/v1/analytics/query``.
    """
    pairs = request.query_params.multi_items()
    try:
        form = QueryForm.model_validate({"group_by": "event_type"} | dict(pairs))
    except ValidationError as error:
        errors = [FieldError(f"/query/{each['loc'][0]}", each["msg"]) for each in error.errors()]
        raise Problem("invalid-query", f"{len(errors)} value(s) of the request are invalid", errors=errors) from None
    client_id = visible_client(api_key, form.client_id)
    question = read_question(form, client_id, _beyond(QueryForm, pairs), "/query")
    measured = await measure_events(reader, question, max_rows)
    return answer_csv(question, measured) if form.format == "csv" else answer_json(question, measured)


def _beyond(form: type[QueryForm], pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The parameters that are not of the form itself."""
    own = {field.alias or name for name, field in form.model_fields.items()}
    return [pair for pair in pairs if pair[0] not in own]
