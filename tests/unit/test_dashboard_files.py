"""The dashboard's files as a browser gets them: the right kind, kept as long as is right, under a strict policy."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from analytics_api import dashboard

STATIC = Path(dashboard.__file__).parent / "static"
KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml", "txt": "text/plain"}
OWN = sorted(path for path in STATIC.rglob("*") if path.is_file() and "vendor" not in path.parts)


@pytest.fixture
def site() -> Iterator[TestClient]:
    app = FastAPI()
    app.include_router(dashboard.dashboard_routes(gateway_port=18000))
    with TestClient(app) as client:
        yield client


def test_every_file_is_served_as_what_it_is_under_a_strict_policy(site: TestClient) -> None:
    assert {"/dashboard", "/dashboard/js/main.js", "/dashboard/css/page.css"} <= dashboard.PATHS
    assert len(dashboard.PATHS) == sum(path.is_file() for path in STATIC.rglob("*"))
    for path in dashboard.PATHS:
        answer = site.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(KINDS[path.rpartition(".")[2] if "." in path else "html"])
        assert answer.headers["x-content-type-options"] == "nosniff"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "*" not in policy


def test_a_browser_that_has_a_file_is_not_sent_it_again_until_it_changes(site: TestClient) -> None:
    first = site.get("/dashboard/js/main.js")
    assert first.headers["cache-control"] == "no-cache"
    etag = first.headers["etag"]
    for known in (etag, f'W/{etag}, "other"', "*"):
        again = site.get("/dashboard/js/main.js", headers={"if-none-match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert site.get("/dashboard/js/main.js", headers={"if-none-match": '"older"'}).content == first.content


def test_only_files_with_their_version_in_their_path_are_kept_without_asking(site: TestClient) -> None:
    kept = {path for path in dashboard.PATHS if "immutable" in site.get(path).headers["cache-control"]}
    assert kept
    assert all(re.match(r"/dashboard/vendor/[a-z]+-[\d.]+/", path) for path in kept)


def test_the_page_names_the_gateways_port(site: TestClient) -> None:
    assert 'data-gateway-port="18000" data-public-url=""' in site.get("/dashboard").text


def test_the_page_names_the_public_address_where_there_is_one() -> None:
    app = FastAPI()
    app.include_router(dashboard.dashboard_routes(18000, "https://events.example.com"))
    with TestClient(app) as client:
        assert 'data-public-url="https://events.example.com"' in client.get("/dashboard").text


@pytest.mark.parametrize("path", OWN, ids=lambda path: str(path.relative_to(STATIC)))
def test_a_file_of_ours_names_no_other_host_and_makes_no_markup_of_words(path: Path) -> None:
    text = path.read_text()
    if path.suffix != ".svg":  # its namespace is written as an address
        assert not re.search(r"://(?!html\.spec\.whatwg\.org)", text)  # one source of a format is named in a comment
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
        assert way not in text
    if path.suffix == ".html":
        assert not re.search(r"<script(?![^>]*\bsrc=)", text)
        assert not re.search(r"\s(style|on\w+)=", text)


def test_the_vendored_library_comes_with_its_licence() -> None:
    folders = list((STATIC / "vendor").iterdir())
    assert folders
    assert all("MIT License" in (folder / "LICENSE.txt").read_text() for folder in folders)
