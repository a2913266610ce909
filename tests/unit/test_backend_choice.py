"""A backend that was asked for by name is taken or refused; only `auto` may choose another."""

import pytest

from tests import backends
from tests.conftest import with_database


@pytest.fixture(autouse=True)
def _no_servers_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(backends.REDIS_VARIABLE, raising=False)
    monkeypatch.delenv(backends.POSTGRES_VARIABLE, raising=False)
    monkeypatch.setattr(backends, "docker_obstacle", lambda: "no engine")


def test_docker_that_cannot_start_the_images_is_refused_with_its_reason() -> None:
    with pytest.raises(LookupError, match="no engine"):
        backends.choose_backend("docker")


def test_external_without_both_urls_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(backends.REDIS_VARIABLE, "redis://localhost/0")
    with pytest.raises(LookupError, match="TEST_DATABASE_URL"):
        backends.choose_backend("external")


def test_auto_prefers_given_servers_then_docker_then_embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert backends.choose_backend("auto").way == "embedded"
    monkeypatch.setattr(backends, "docker_obstacle", lambda: None)
    assert backends.choose_backend("auto").way == "docker"
    monkeypatch.setenv(backends.REDIS_VARIABLE, "redis://localhost/0")
    monkeypatch.setenv(backends.POSTGRES_VARIABLE, "postgresql://localhost/x")
    assert backends.choose_backend("auto").way == "external"
    assert backends.choose_backend("embedded").way == "embedded"


@pytest.mark.parametrize(
    ("url", "other"),
    [
        ("postgresql://u:p@h:1/weir", "postgresql://u:p@h:1/t"),
        ("postgresql://u:p@h:1", "postgresql://u:p@h:1/t"),
        ("postgresql://u:p@/weir?host=%2Ftmp&port=1", "postgresql://u:p@/t?host=%2Ftmp&port=1"),
    ],
)
def test_a_url_is_led_to_another_database_and_keeps_the_rest(url: str, other: str) -> None:
    assert with_database(url, "t") == other
