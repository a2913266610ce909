"""What is kept of a request holds no secret, in whatever way it was written."""

from urllib.parse import quote

import pytest

from shared.request_facts import mask_query, read_facts

KEY = "weir_abcDEF123456_" + "s3cr3tS3cr3t" * 3
SECRET = "s3cr3t"


@pytest.mark.parametrize(
    "query",
    [
        f"token={SECRET}",
        f"api_key={SECRET}&limit=5",
        f"X-Amz-Signature={SECRET}",
        f"a=1&passwd={SECRET}",
        f"jwt={SECRET}",
        f"note={KEY}",
        f"note={quote(KEY, safe='').replace('_', '%5F')}",
        f"note=Bearer%20{KEY.replace('_', '%5f')}",
        f"{KEY.replace('_', '%5F')}=1",
        f"dsn=postgresql%3A%2F%2Fu%3A{SECRET}%40h%2Fdb",
        f"dsn=postgresql://u:{SECRET}@h/db",
    ],
)
def test_no_secret_of_a_query_is_kept(query: str) -> None:
    kept = mask_query(query.encode())
    assert SECRET not in kept
    assert kept


def test_a_query_without_a_secret_is_kept_as_it_was() -> None:
    query = "client_id=acme&from=2026-01-01T00:00:00%2B01:00&payload.name=J%C3%BCrgen&limit=5"
    assert mask_query(query.encode()) == query


@pytest.mark.parametrize("raw", [f"/x/{KEY}", f"/x/{KEY.replace('_', '%5F')}/y", f"/{quote(KEY)}%20z"])
def test_no_key_of_a_path_is_kept(raw: str) -> None:
    facts = read_facts({"headers": [(b"user-agent", f"curl {KEY}".encode())], "path": "/x", "raw_path": raw.encode()})
    assert SECRET not in facts.path
    assert "***" in facts.path
    assert SECRET not in facts.user_agent


def test_a_path_with_percent_signs_is_kept_as_it_was_sent() -> None:
    assert read_facts({"headers": [], "path": "/a b", "raw_path": b"/a%20b%2Fc%zz"}).path == "/a%20b%2Fc%zz"
