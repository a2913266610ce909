"""Keys that are wrong, stolen, old, or in the wrong place; and the data of others, which nobody gets to see."""

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import msgspec
import psycopg
import pytest

from shared.api_keys import Scope, format_key, new_secret
from tests.contract.hostile.conftest import Site
from tests.contract.hostile.openapi_calls import Call, calls
from tests.contract.hostile.verdict import refusal_faults
from tests.gateway_process import BATCH, INGEST, KEYS, store_key
from tests.raw_http import RawAnswer, RawConnection
from tests.waiting import eventually

LIST = "/api/v1/events"
EXPORT = "/api/v1/events/export"
LOGS = "/api/v1/audit/logs"
FAILED = "/api/v1/audit/failed-events"
SERVICES = ("gateway", "analytics")
JSON_BODY = ("Content-Type", "application/json")


@pytest.fixture
def connections(site: Site) -> Iterator[dict[str, RawConnection]]:
    with RawConnection(site.gateway.port) as gateway, RawConnection(site.analytics.port) as analytics:
        yield {"gateway": gateway, "analytics": analytics}


@pytest.fixture
def analytics(connections: dict[str, RawConnection]) -> RawConnection:
    return connections["analytics"]


def told(answer: RawAnswer) -> tuple[int, dict[str, Any]]:
    """Status and document, without what differs from call to call."""
    return answer.status, {name: value for name, value in answer.json().items() if name != "request_id"}


def guarded_calls(connection: RawConnection) -> list[Call]:
    """The calls that ask for a key, by the service's own document."""
    document = connection.call("GET", "/openapi.json").json()
    return [call for call in calls(document) if document["paths"][call.path][call.method.lower()].get("security")]


@pytest.mark.parametrize("service", SERVICES)
def test_no_call_behind_a_key_answers_without_a_good_one(
    site: Site, connections: dict[str, RawConnection], service: str
) -> None:
    connection = connections[service]
    known = site.acme.split("_")[1]
    wrong: dict[str, list[tuple[str, str | bytes]]] = {
        "none": [],
        "an empty one": [("X-API-Key", "")],
        "an empty bearer": [("Authorization", "Bearer ")],
        "basic": [("Authorization", "Basic " + base64.b64encode(f"{site.acme}:".encode()).decode())],
        "another scheme": [("Authorization", f"Token {site.acme}")],
        "no scheme": [("Authorization", site.acme)],
        "the scheme in one word": [("Authorization", f"Bearer{site.acme}")],
        "as a cookie": [("Cookie", f"api_key={site.acme}; X-API-Key={site.acme}")],
        "with underscores": [("X_API_Key", site.acme), ("HTTP_X_API_KEY", site.acme)],
        "in other headers": [("Api-Key", site.acme), ("X-Auth-Token", site.acme), ("Proxy-Authorization", site.acme)],
        "as a subprotocol": [("Sec-WebSocket-Protocol", f"weir.key.{site.acme}")],
        "without its checksum": [("X-API-Key", site.acme[:-6])],
        "with another checksum": [("X-API-Key", site.acme[:-6] + "000000")],
        "in other letters": [("X-API-Key", site.acme.swapcase())],
        "with another secret": [("X-API-Key", format_key(known, new_secret()))],
        "with a public id nobody has": [("X-API-Key", format_key("0" * 12, new_secret()))],
        "twice in a row": [("X-API-Key", site.acme + site.acme)],
        "two, by a comma": [("X-API-Key", f"{site.acme}, {site.acme}")],
        "the public id alone": [("X-API-Key", f"weir_{known}_")],
        "with more behind it": [("X-API-Key", site.acme + "x")],
        "of wide letters": [("X-API-Key", site.acme.encode().replace(b"_", b"\xef\xbc\xbf"))],
        "huge": [("Authorization", "Bearer " + "k" * 60_000)],
        "a thousand": [("X-API-Key", f"weir_{number}") for number in range(1000)],
        "a query in SQL": [("X-API-Key", "' OR is_active --")],
    }  # fmt: skip
    for call in guarded_calls(connection):
        body = call.with_body({}) if call.media_type else b""
        for what, headers in wrong.items():
            answer = connection.call(call.method, call.with_query(), [*headers, JSON_BODY], body)
            assert (answer.status, refusal_faults(answer)) == (401, []), (str(call), what, answer.body)
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert known.encode() not in answer.body


@pytest.mark.parametrize("service", SERVICES)
def test_a_key_in_the_address_is_no_key(site: Site, connections: dict[str, RawConnection], service: str) -> None:
    for call in guarded_calls(connections[service]):
        for name in ("key", "api_key", "X-API-Key", "token", "access_token", "authorization"):
            answer = connections[service].call(call.method, f"{call.target()}?{name}={site.admin}", [JSON_BODY], b"{}")
            assert answer.status == 401, (str(call), name)
            assert site.admin.encode() not in answer.body


@pytest.mark.parametrize(
    ("first", "second"), [("Authorization", "X-API-Key"), ("X-API-Key", "Authorization"), ("X-API-Key", "X-API-Key"),
                          ("Authorization", "Authorization")],
)  # fmt: skip
def test_two_keys_that_differ_are_never_mixed(site: Site, analytics: RawConnection, first: str, second: str) -> None:
    """Whichever of them counts, the answer is one client's alone."""

    def sent(name: str, key: str) -> tuple[str, str]:
        return name, f"Bearer {key}" if name == "Authorization" else key

    answer = analytics.call("GET", LIST, [sent(first, site.acme), sent(second, site.rival)])
    if answer.status == 200:
        assert len({event["client_id"] for event in answer.json()["events"]}) == 1
    else:
        assert answer.status in (400, 401)


@pytest.mark.parametrize("service", SERVICES)
def test_keys_that_are_disabled_or_expired_are_refused_everywhere(
    site: Site, connections: dict[str, RawConnection], service: str
) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    scopes = (Scope.INGEST, Scope.READ, Scope.ADMIN)
    expired = store_key(site.database_url, "acme", *scopes, expires_at=past)
    disabled, deleted = (store_key(site.database_url, "acme", *scopes) for _ in range(2))
    with psycopg.connect(site.database_url) as database:
        database.execute("UPDATE api_keys SET is_active = false WHERE public_id = %s", (disabled.split("_")[1],))
        database.execute("DELETE FROM api_keys WHERE public_id = %s", (deleted.split("_")[1],))
    connection = connections[service]
    for call in guarded_calls(connection):
        for key in (expired, disabled, deleted):
            answer = connection.call(
                call.method, call.with_query(), [("X-API-Key", key), JSON_BODY], call.with_body({})
            )
            assert (answer.status, refusal_faults(answer)) == (401, []), str(call)


def test_a_key_that_is_disabled_while_it_is_used_ends(site: Site, connections: dict[str, RawConnection]) -> None:
    key = store_key(site.database_url, "acme", Scope.INGEST, Scope.READ)

    def statuses() -> set[int]:
        sent = [("X-API-Key", key), JSON_BODY]
        return {connections["analytics"].call("GET", LIST, sent).status,
                connections["gateway"].call("POST", INGEST, sent, b"{}").status}  # fmt: skip

    assert statuses() == {200, 422}
    with psycopg.connect(site.database_url) as database:
        database.execute("UPDATE api_keys SET is_active = false WHERE public_id = %s", (key.split("_")[1],))
    eventually(lambda: statuses() == {401}, within_seconds=20, what="both services refuse the key")


def test_the_events_of_others_are_as_if_they_were_not_there(site: Site, analytics: RawConnection) -> None:
    """Stored, failed, or none at all: one and the same answer, to the byte but for the request id."""
    sent = [("X-API-Key", site.acme)]
    answers = [
        analytics.call("GET", f"/api/v1/events/{event_id}", sent)
        for event_id in (
            "rival-1",
            "rival-failed",
            "nobody-1",
            "rival-1/",
            "rival-1%00"[:7],
            quote("nobody's", safe=""),
        )
    ]
    assert {answer.status for answer in answers} == {404}
    assert len({str(told(answer)) for answer in answers}) == 1
    assert len({(tuple(sorted(answer.headers)), len(answer.body)) for answer in answers}) == 1
    assert analytics.call("GET", "/api/v1/events/acme-1", sent).status == 200


def test_no_parameter_makes_a_reader_see_another_client(site: Site, analytics: RawConnection) -> None:
    sent = [("X-API-Key", site.acme)]
    for call in guarded_calls(analytics):
        if call.method != "GET" or call.path_names:
            continue
        for pairs in (
            (), ("client_id=rival",), ("client_id=acme", "client_id=rival"), ("client_id=rival", "client_id=acme"),
            ("client_id=",), ("client_id=%2A",), ("client_id=%25",), ("client_id=acme%00rival",), ("client_id=ACME",),
            ("client_id=acme,rival",), ("client_id[]=rival",), ("Client_Id=rival",), ("client_id%20=rival",),
            ("client%5Fid=rival",), ("payload.client_id=rival",), ("group_by=client_id",),
            ("group_by=event_type,client_id",),
        ):  # fmt: skip
            answer = analytics.call("GET", call.with_query(*pairs), sent)
            if call.path == EXPORT and answer.status == 404:
                continue  # without a format it asks for an event of that name
            assert answer.status in (200, 403, 422), (str(call), pairs)
            assert b"rival" not in answer.body, (str(call), pairs, answer.body[:500])
            if pairs in (("client_id=rival",), ("client%5Fid=rival",)) and "client_id" in call.query:
                assert answer.status == 403


def test_a_cursor_opens_nothing_to_another_key(site: Site, analytics: RawConnection) -> None:
    for path, rows in ((LIST, "events"), (LOGS, "logs"), (FAILED, "failed_events")):
        page = analytics.call("GET", f"{path}?limit=1", [("X-API-Key", site.rival)]).json()
        assert page["next_cursor"], path
        for key in (site.acme, site.admin):
            stolen = analytics.call("GET", f"{path}?limit=5&cursor={page['next_cursor']}", [("X-API-Key", key)])
            assert (stolen.status, refusal_faults(stolen)) == (422, []), path
        again = analytics.call("GET", f"{path}?limit=1&cursor={page['next_cursor']}", [("X-API-Key", site.rival)])
        assert {row["client_id"] for row in again.json()[rows]} <= {"rival"}


def test_a_cursor_that_was_tampered_with_shows_nothing_of_others_and_breaks_nothing(
    site: Site, analytics: RawConnection
) -> None:
    """Forged with the right digest, which is no secret: a cursor grants nothing."""
    sent = [("X-API-Key", site.acme)]
    for path, rows in ((LIST, "events"), (LOGS, "logs"), (FAILED, "failed_events")):
        cursor = analytics.call("GET", f"{path}?limit=1", sent).json()["next_cursor"]
        fields = msgspec.msgpack.decode(base64.b64decode(cursor, b"-_"))
        for forged in forgeries(fields):
            text = base64.b64encode(msgspec.msgpack.encode(forged), b"-_").decode()
            answer = analytics.call("GET", f"{path}?limit=1000&cursor={quote(text)}", sent)
            assert answer.status in (200, 422), (path, forged, answer.body)
            if answer.status == 200:
                assert {row["client_id"] for row in answer.json()[rows]} <= {"acme"}, (path, forged)
            else:
                assert refusal_faults(answer) == []
        for place in range(0, len(cursor), 3):  # a letter changed, and the end cut off
            for text in (cursor[:place] + "A" + cursor[place + 1 :], cursor[:place]):
                assert analytics.call("GET", f"{path}?limit=1&cursor={quote(text)}", sent).status in (200, 422)


def forgeries(fields: list[Any]) -> Iterator[list[Any]]:
    """Cursors with one of their fields replaced by each of the values an attacker would try."""
    extremes = (0, -1, 1, 2**31, 2**53, 2**63 - 1, -(2**63), 2**64 - 1, 1.5, None, True, "x", b"x", [], {})
    keys = (
        [], ["rival-1"], ["rival-1", "rival"], ["", ""], ["\0", "\0"], ["x" * 900, "rival"], [1], [2**63], [-(2**63)],
        [2**64 - 1], [1.5], [None], [True], [1, 1], ["\uffff", "\U0010ffff"], [["rival-1"], "rival"], ["rival-1", 1],
    )  # fmt: skip
    for place in range(len(fields) - 1):
        for value in extremes:
            yield [*fields[:place], value, *fields[place + 1 :]]
    for key in keys:
        yield [*fields[:-1], key]
    yield fields[:-1]
    yield [*fields, 1]
    first, last = -(2**50), 2**50
    yield [fields[0], first, last, last, fields[-1]]
    yield [fields[0], last, first, first, fields[-1]]


def test_an_event_belongs_to_the_keys_client_whatever_is_sent(
    site: Site, connections: dict[str, RawConnection]
) -> None:
    """The body has no word in it, nor have the query and the headers: they are refused, or nobody listens to them."""
    event = b'{"event_id": "tenant-1", "event_type": "t", "payload": {"client_id": "rival"}%s}'
    headers = [("X-API-Key", site.acme), JSON_BODY, ("X-Client-Id", "rival"), ("X-Weir-Client", "rival")]
    gateway = connections["gateway"]
    refused = gateway.call("POST", INGEST, headers, event % b', "client_id": "rival"')
    assert (refused.status, refusal_faults(refused)) == (422, [])
    accepted = gateway.call("POST", f"{INGEST}?client_id=rival", headers, event % b"")
    assert (accepted.status, accepted.json()["status"]) == (202, "accepted")
    own = gateway.call("POST", INGEST, [("X-API-Key", site.rival), JSON_BODY], event % b"")
    assert own.json()["status"] == "accepted", "rival has no event of this id yet"


def test_a_duplicate_of_anothers_id_is_none(site: Site, connections: dict[str, RawConnection]) -> None:
    """What a duplicate's answer tells (its entry, whether its payload differs) it tells of one's own events alone."""
    body = b'{"events": [{"event_id": "shared-1", "event_type": "t", "payload": {"of": "%s"}}]}'
    for client, key in (("acme", site.acme), ("rival", site.rival)):
        answer = connections["gateway"].call("POST", BATCH, [("X-API-Key", key), JSON_BODY], body % client.encode())
        assert (answer.json()["accepted"], answer.json()["duplicates"]) == (1, 0)


@pytest.mark.parametrize("scopes", [(Scope.READ,), (Scope.INGEST,), (Scope.INGEST, Scope.READ)])
def test_no_key_does_more_than_its_scopes_say(
    site: Site, connections: dict[str, RawConnection], scopes: tuple[Scope, ...]
) -> None:
    key = store_key(site.database_url, "acme", *scopes)
    for service, connection in connections.items():
        for call in guarded_calls(connection):
            needed = needed_scope(service, call)
            body = b"" if call.method == "GET" else call.with_body({})
            answer = connection.call(call.method, call.with_query(), [("X-API-Key", key), JSON_BODY], body)
            if needed in scopes:
                assert answer.status not in (401, 403), (str(call), answer.body)
            else:
                assert (answer.status, refusal_faults(answer)) == (403, []), (str(call), answer.body)


def needed_scope(service: str, call: Call) -> Scope:
    if service == "analytics":
        return Scope.READ
    return Scope.INGEST if call.path in (INGEST, BATCH) else Scope.ADMIN


def test_keys_cannot_be_found_by_guessing_their_public_ids(site: Site, connections: dict[str, RawConnection]) -> None:
    """With and without such a public id, a wrong secret gets the same answer."""
    for service in SERVICES:
        target, method = (LIST, "GET") if service == "analytics" else (KEYS, "GET")
        answers = [
            connections[service].call(method, target, [("X-API-Key", format_key(public_id, new_secret()))])
            for public_id in (site.acme.split("_")[1], site.admin.split("_")[1], "A" * 12, "0" * 12)
        ]
        assert len({str(told(answer)) for answer in answers}) == 1
        assert len({tuple(sorted(answer.headers)) for answer in answers}) == 1
