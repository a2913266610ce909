"""Settings: read once, checked, told apart by where they came from, and never showing a secret."""

import traceback
from pathlib import Path

import pytest
from pydantic import ValidationError

from shared.errors import SettingsError
from shared.settings import Settings, load_settings
from tests.no_settings import forget_settings

PASSWORD = "hunter2-very-secret"


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    forget_settings(monkeypatch, tmp_path)


def refused(overrides: dict[str, object] | None = None) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        load_settings(overrides)
    return caught.value


def test_everything_has_a_default() -> None:
    settings = load_settings()
    assert (settings.gateway_port, settings.max_batch_events, settings.batch_bytes) == (8000, 1000, 8 * 1024 * 1024)
    assert settings.database_url is None
    assert settings.data_dir == Path(".weir")


def test_a_loaded_setting_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        load_settings().gateway_port = 1


def test_options_win_over_environment_over_file_over_default(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("WEIR_PROCESSORS=2\nWEIR_GATEWAY_PORT=9002\nWEIR_ANALYTICS_PORT=9003\n")
    monkeypatch.setenv("WEIR_GATEWAY_PORT", "9004")
    monkeypatch.setenv("WEIR_ANALYTICS_PORT", "9005")
    settings = load_settings({"analytics_port": 9006, "processors": None})
    found = {
        name: (getattr(settings, name), settings.source_of(name))
        for name in ("stream_shards", "processors", "gateway_port", "analytics_port")
    }
    assert found == {
        "stream_shards": (1, "default"),
        "processors": (2, ".env"),
        "gateway_port": (9004, "environment"),
        "analytics_port": (9006, "option"),
    }


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "")
    settings = load_settings()
    assert settings.redis_url is None
    assert settings.source_of("redis_url") == "default"


def test_lists_are_comma_separated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_TRUSTED_PROXIES", "10.0.0.0/8, ::1,")
    monkeypatch.setenv("WEIR_ENRICHERS", "shop.enrich:region,shop.enrich:season")
    settings = load_settings()
    assert settings.trusted_proxies == ("10.0.0.0/8", "::1")
    assert settings.enrichers == ("shop.enrich:region", "shop.enrich:season")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("WEIR_GATEWAY_PRT", "WEIR_GATEWAY_PORT"),
        ("WEIR_BATCHBYTES", "WEIR_BATCH_BYTES"),
        ("weir_gateway_port", "WEIR_GATEWAY_PORT"),
        ("WEIR_DATABASE_URL", "DATABASE_URL"),
    ],
)
def test_an_unknown_name_is_refused_with_the_one_that_was_meant(
    monkeypatch: pytest.MonkeyPatch, name: str, meant: str
) -> None:
    monkeypatch.setenv(name, "1")
    error = refused()
    assert error.variable == name
    assert name in str(error)
    assert "did you mean" in str(error)
    assert meant in str(error)


def test_an_unknown_name_in_the_file_is_refused_and_the_file_named() -> None:
    Path(".env").write_text("WEIR_GATEWAY_PRT=1\n")
    assert str(refused()) == "WEIR_GATEWAY_PRT in .env is not a setting: did you mean WEIR_GATEWAY_PORT?"


def test_names_of_other_programs_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_OTHER_PORT", "x")
    Path(".env").write_text("POSTGRES_PASSWORD=x\n")
    load_settings()


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("WEIR_GATEWAY_PORT", "65536", "a whole number from 1 to 65535"),
        ("WEIR_GATEWAY_PORT", "eighty", "a whole number from 1 to 65535"),
        ("RATE_LIMIT_REQUESTS_PER_MINUTE", "-1", "a whole number from 0 to"),
        ("WEIR_KEY_CACHE_SECONDS", "2.1", "a number from 0 to 2"),
        ("WEIR_BODY_TIMEOUT_SECONDS", "nan", "a number from 0.1 to 300"),
        ("DEBUG", "perhaps", "true or false"),
        ("ENVIRONMENT", "staging", "one of development, test, production"),
        ("WEIR_LOG_FORMAT", "xml", "one of auto, json, console"),
        ("WEIR_PUBLIC_URL", "events.example.com", "a URL such as https://"),
        ("WEIR_PUBLIC_URL", "https://events.example.com/?a=1", "a URL such as https://"),
        ("WEIR_TRUSTED_PROXIES", "10.0.0.0/8,proxy", "IP addresses or networks"),
        ("WEIR_ENRICHERS", "os.system", "module:callable"),
        ("REDIS_URL", "localhost:6379", "a URL such as redis://"),
    ],
)
def test_a_bad_value_is_told_with_its_name_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, allowed: str
) -> None:
    monkeypatch.setenv(name, value)
    error = refused()
    assert error.variable == name
    assert str(error).startswith(f"{name} is {value!r} (environment): must be ")
    assert allowed in str(error)
    assert "\n" not in str(error)


def test_all_bad_values_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_GATEWAY_PORT", "0")
    monkeypatch.setenv("WEIR_ANALYTICS_PORT", "0")
    assert "WEIR_GATEWAY_PORT" in str(refused())
    assert "WEIR_ANALYTICS_PORT" in str(refused())


def test_a_file_where_the_data_directory_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert refused({"data_dir": tmp_path / "file"}).variable == "WEIR_DATA_DIR"


def test_no_repr_shows_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SECRET_KEY", "WEIR_SECRET_KEY_NEXT", "WEIR_SECRET_KEY_BEFORE"):
        monkeypatch.setenv(name, PASSWORD)
    monkeypatch.setenv("DATABASE_URL", f"postgresql://owner:{PASSWORD}@db/weir?sslmode=require")
    monkeypatch.setenv("ANALYTICS_DATABASE_URL", f"postgresql://db/weir?user=reader&password={PASSWORD}")
    monkeypatch.setenv("REDIS_URL", f"redis://:{PASSWORD}@cache:6379/0")
    settings = load_settings()
    shown = [repr(settings), str(settings), *(settings.shown(name) for name in Settings.model_fields)]
    assert PASSWORD not in "".join(shown)
    assert settings.shown("database_url") == "postgresql://owner:***@db/weir?sslmode=require"
    assert settings.shown("redis_url") == "redis://:***@cache:6379/0"
    assert settings.secret_key is not None
    assert settings.secret_key.get_secret_value() == PASSWORD


def test_no_error_or_its_traceback_shows_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", PASSWORD)
    monkeypatch.setenv("DATABASE_URL", f"mysql://owner:{PASSWORD}@db/weir")
    error = refused()
    assert PASSWORD not in "".join(traceback.format_exception(error))
    assert "mysql://owner:***@db/weir" in str(error)


@pytest.mark.parametrize(
    "secret", [None, "change-me", "CHANGE_ME_IN_PRODUCTION", "your-secret-key-here", "dev", "aaaaaaaa"]
)
def test_production_refuses_a_missing_or_placeholder_secret_key(
    monkeypatch: pytest.MonkeyPatch, secret: str | None
) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    if secret:
        monkeypatch.setenv("SECRET_KEY", secret)
    error = refused()
    assert error.variable == "SECRET_KEY"
    assert "production" in str(error)
    assert secret is None or secret not in str(error).replace("SECRET_KEY", "")


def test_production_takes_a_secret_key_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("SECRET_KEY", "9f2c1be07d3a4458b1")
    assert load_settings().environment == "production"


def test_development_needs_no_secret_key() -> None:
    assert load_settings().secret_key is None
