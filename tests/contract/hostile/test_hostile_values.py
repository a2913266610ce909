"""Every documented call, every place for a value, every hostile value of ``values.jsonl``.

The calls come from the services' own OpenAPI documents, so a new one is attacked as soon as it is there. Whatever is
sent: never a 5xx, every refusal a small problem document that is silent about the input, every answer bounded in size
and within the time-out of the connection, and no data changed.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis

from shared.redis_keys import ShardKeys
from tests.contract.hostile.conftest import Site
from tests.contract.hostile.openapi_calls import Call, calls
from tests.contract.hostile.verdict import faults
from tests.gateway_process import running_processor
from tests.pipeline import rows, wait_until_drained
from tests.raw_http import ENDLESS, RawConnection

SERVICES = ("gateway", "analytics")
MOST_SHOWN = 12
MAX_HEADER_BYTES = 25_000
NOT_IN_HEADERS = b"\0\r\n\x01\x08\x1b\x7f"  # no value of HTTP may hold them: see hostile_http.jsonl
HEADERS = (
    "Accept", "Accept-Encoding", "Accept-Language", "Authorization", "Connection", "Content-Encoding", "Content-Type",
    "Cookie", "Forwarded", "Host", "If-Match", "If-Modified-Since", "If-None-Match", "Last-Event-ID", "Origin",
    "Prefer", "Range", "Referer", "TE", "Traceparent", "User-Agent", "X-API-Key", "X-Forwarded-For", "X-Forwarded-Host",
    "X-Forwarded-Proto", "X-HTTP-Method-Override", "X-Original-URL", "X-Request-ID",
)  # fmt: skip
JSON_VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 1.5, 1e300, -1e-300, 2**31, 2**63, -(2**63), 2**64 - 1, "", [], {}, [[]], [None], [{}],
    {"hunter2": "hunter2"}, ["hunter2"] * 2000, {f"hunter2-{number}": number for number in range(2000)}, [1] * 20_000,
)  # fmt: skip
JSON_BYTES = (
    b'{"hunter2": ' * 5000, b"[" * 60_000, b'{"client_id": ' + b"9" * 60_000 + b"}", b'{"client_id": 1e999999}',
    b'{"client_id": NaN}', b'{"client_id": "\\ud800"}', b'{"client_id": "\\u0000"}', b'{"client_id": "hunter2\xff"}',
    b'\xef\xbb\xbf{"client_id": "a"}', b'{"client_id": "a", "client_id": "hunter2"}', b'{"ids": [1e400]}',
    b'{"limit": 1e400}', b'{"\\ud800": "hunter2"}', b"hunter2", b"\x00", b"null", b'"hunter2"', b"[]", b"{", b"{}x",
    '{"name": "\x01"}'.encode("utf-16"),
)  # fmt: skip


DONE_IN_EARNEST = ("dry_run", False)
"""Would put failed events back, which an admin may wish."""


def hostile_values() -> Iterator[tuple[str, str]]:
    """Name and percent-encoded form of each value of the corpus."""
    for line in (Path(__file__).parent / "values.jsonl").read_text().splitlines():
        case = json.loads(line)
        if "raw" in case:
            yield case["name"], case["raw"] * case.get("times", 1)
        else:
            yield case["name"], quote(case["text"] * case.get("times", 1), safe="")


def hostile_texts() -> Iterator[tuple[str, str]]:
    """Name and text of each value that is text."""
    for line in (Path(__file__).parent / "values.jsonl").read_text().splitlines():
        case = json.loads(line)
        if "text" in case:
            yield case["name"], case["text"] * case.get("times", 1)


VALUES = tuple(hostile_values())
TEXTS = tuple(hostile_texts())


class Attack:
    """Calls one service as the admin, the one who may ask for most, and collects what is wrong with the answers."""

    def __init__(self, site: Site, service: str) -> None:
        self._connection = RawConnection(site.ports[service])
        self._key = site.admin
        self.faults: list[str] = []
        self.sent = 0
        document = self._connection.call("GET", "/openapi.json")
        self.calls = tuple(calls(document.json()))

    def send(
        self, what: str, call: Call, target: str, body: bytes = b"", headers: tuple[tuple[str, str | bytes], ...] = ()
    ) -> None:
        media_type = [("Content-Type", call.media_type)] if body or call.media_type else []
        sent = [("X-API-Key", self._key), *media_type]
        names = {name for name, _ in headers}
        answer = self._connection.call(
            call.method, target, [*(pair for pair in sent if pair[0] not in names), *headers], body
        )
        self.sent += 1
        if answer.media_type == ENDLESS:
            self._connection.close()
        self.faults += [f"{call}, {what}: {fault}" for fault in faults(answer, call.method)]

    def close(self) -> None:
        self._connection.close()


@pytest.fixture(params=SERVICES)
def attack(site: Site, request: pytest.FixtureRequest) -> Iterator[Attack]:
    """What is sent during the test changes no data and makes no service log an error of its own."""
    service: str = request.param
    running = Attack(site, service)
    data, keys = site.data(), site.redis_keys()
    yield running
    running.close()
    assert running.sent > 0
    assert not running.faults, f"{len(running.faults)} faults, such as:\n" + "\n".join(running.faults[:MOST_SHOWN])
    assert site.data() == data
    assert not site.failures()
    if service == "analytics":
        assert site.redis_keys() == keys, "the analytics API writes audit records only"


def shares(calls_: tuple[Call, ...], names: Callable[[Call], Iterable[str]]) -> Iterator[tuple[Call, str, slice]]:
    """Calls, their names, and which values each gets: a name that several calls have shares them out among three."""
    counts = Counter(name for call in calls_ for name in names(call))
    seen: Counter[str] = Counter()
    for call in calls_:
        for name in names(call):
            step = min(counts[name], 3)
            yield call, name, slice(seen[name] % step, None, step)
            seen[name] += 1


def test_every_parameter_of_a_query_takes_or_refuses_every_value(attack: Attack) -> None:
    for call, name, share in shares(attack.calls, lambda call: call.query):
        for what, raw in VALUES[share]:
            attack.send(f"{name}={what}", call, call.with_query(f"{quote(name)}={raw}"), call.with_body({}))


def test_parameters_that_are_repeated_listed_empty_or_unknown_are_taken_or_refused(attack: Attack) -> None:
    for call in attack.calls:
        for name, value in {**call.query, "hunter2": "hunter2"}.items():
            raw_name, raw = quote(name), quote(value)
            for pairs in (
                (f"{raw_name}={raw}", f"{raw_name}={raw}"), (f"{raw_name}={raw}", f"{raw_name}=hunter2"),
                (f"{raw_name}[]={raw}",), (f"{raw_name}%5B0%5D={raw}",), (f"{raw_name}[hunter2]={raw}",),
                (raw_name,), (f"{raw_name}=",), (f"={raw}",), (f"%00{raw_name}={raw}",), (f"{raw_name}%20={raw}",),
                (f"{raw_name.upper()}={raw}",), ("&" * 20_000,), ("&".join([f"{raw_name}={raw}"] * 1500),),
                ("&".join(f"hunter2{number}=1" for number in range(2000)),),
            ):  # fmt: skip
                attack.send(f"{name} as {pairs[0][:40]}", call, call.with_query(*pairs), call.with_body({}))
        attack.send(
            "all parameters at once, twice", call, call.with_query(*2 * [f"{quote(n)}=hunter2" for n in call.query])
        )


def test_every_value_may_stand_as_the_name_of_a_parameter(attack: Attack) -> None:
    for call in (call for call in attack.calls if call.method == "GET"):
        for what, raw in VALUES:
            if "payload." in call.description:
                attack.send(f"a filter named {what}", call, f"{call.target()}?payload.{raw}=1&payload.a={raw}")
            attack.send(f"a parameter named {what}", call, f"{call.target()}?{raw}=1")


def test_every_value_may_stand_in_a_path(attack: Attack) -> None:
    for call in attack.calls:
        for what, raw in VALUES:
            for name in call.path_names:
                attack.send(f"{what} at {name}", call, call.target(**{name: raw}), call.with_body({}))
                attack.send(f"{what} behind {name}", call, call.target(**{name: f"a/{raw}"}), call.with_body({}))
            if call.method == "GET":
                attack.send(f"{what} behind it", call, f"{call.target()}/{raw}")


def test_every_value_may_stand_in_a_header(attack: Attack) -> None:
    """In every header at least a quarter of the values, and every value in at least a quarter of the headers."""
    with_body = (call for call in attack.calls if call.body is not None and call.method == "POST")
    with_query = (call for call in attack.calls if call.query)
    for call in [*islice(with_query, 1), *islice(with_body, 1)][-1:]:
        body = call.with_body({"hunter2": 1}) if call.body is not None else b""
        for first, name in enumerate((*HEADERS, *call.header_names)):
            for what, text in TEXTS[first % 4 :: 4]:
                value = text.encode("utf-8", "surrogatepass").translate(None, NOT_IN_HEADERS)[:MAX_HEADER_BYTES]
                attack.send(f"{name}: {what}", call, call.with_query(), body, ((name, value),))


def test_every_field_of_a_body_takes_or_refuses_every_value(attack: Attack) -> None:
    for call, name, share in shares(attack.calls, lambda call: call.body_names):
        for what, text in TEXTS[share]:
            attack.send(f"{name}={what}", call, call.with_query(), call.with_body({name: text}))
        for value in JSON_VALUES:
            if (name, value) != DONE_IN_EARNEST:
                attack.send(f"{name}={str(value)[:40]}", call, call.with_query(), call.with_body({name: value}))
    for call in (call for call in attack.calls if call.body is not None):
        for body in JSON_BYTES:
            attack.send(f"body {body[:40]!r}", call, call.with_query(), body)
    attack.send("nothing", attack.calls[0], attack.calls[0].with_query())


def test_what_attackers_asked_for_can_all_be_written_to_the_audit_log(site: Site, tmp_path: Path) -> None:
    """Queries, paths, user agents and request ids are stored as they came, or cut; none fails as a record."""
    asked = "SELECT count(*) FROM audit_logs"
    ((before,),) = rows(site.database_url, asked)
    with redis.Redis.from_url(site.redis_url) as client:
        keys = ShardKeys(0).audit
        written = int(client.hget(keys.totals, "added") or 0)
        with running_processor(tmp_path, site.database_url, site.redis_url):
            wait_until_drained(client, within_seconds=60)
    assert rows(site.database_url, asked) == [(before + written,)]
    assert rows(site.database_url, "SELECT count(*) FROM failed_events WHERE event_id NOT LIKE '%%-failed'") == [(0,)]
