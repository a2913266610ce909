"""Which servers a command talks to: those of the settings, else those of a running `weir up`."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, unquote

from pydantic import SecretStr

from deploy.servers_file import RunningServers, ensure_secret_key, read_servers_file
from shared.api_keys import Peppers
from shared.errors import SettingsError
from shared.settings import Settings, environment_name

ROLES = {
    "gateway_database_url": "weir_keys",
    "processor_database_url": "weir_writer",
    "analytics_database_url": "weir_reader",
}


@dataclass(frozen=True, slots=True, repr=False)
class Endpoints:
    """The URLs and the secret key of every part.

    Each is looked up when it is asked for, so that a part with a URL of its own needs no other: a gateway
    in production never sees the owner's. Raises SettingsError for one that is nowhere to be found.
    """

    settings: Settings
    servers: RunningServers | None

    @property
    def redis_url(self) -> str:
        """Redis or Valkey with the streams."""
        return self._url("redis_url")

    @property
    def database_url(self) -> str:
        """PostgreSQL as the owner."""
        return self._url("database_url")

    @property
    def gateway_database_url(self) -> str:
        """PostgreSQL as the keys role."""
        return self._url("gateway_database_url")

    @property
    def processor_database_url(self) -> str:
        """PostgreSQL as the writer role."""
        return self._url("processor_database_url")

    @property
    def analytics_database_url(self) -> str:
        """PostgreSQL as the reader role."""
        return self._url("analytics_database_url")

    @property
    def secret_key(self) -> bytes:
        """SECRET_KEY, else the one kept in the data directory, which is made if need be."""
        if self.settings.secret_key is not None:
            return self.settings.secret_key.get_secret_value().encode()
        return ensure_secret_key(self.settings.data_dir)

    @property
    def peppers(self) -> Peppers:
        """The secret key, with the one to come and the one before, where they are set."""
        return Peppers(self.secret_key, _bytes(self.settings.secret_key_next), _bytes(self.settings.secret_key_before))

    @property
    def gateway_url(self) -> str:
        """The gateway: that of the settings if they name its place, else that of a running `weir up`."""
        named = any(self.settings.source_of(name) != "default" for name in ("gateway_host", "gateway_port"))
        running = None if self.servers is None or named else self.servers.gateway_url
        return running or gateway_url(self.settings)

    def _url(self, name: str) -> str:
        explicit: str | None = getattr(self.settings, name)
        if explicit is not None:
            return explicit
        if name in ROLES and self.settings.database_url is not None:
            return with_role(self.settings.database_url, ROLES[name])
        if self.servers is not None:
            return str(getattr(self.servers, name))
        wanted = environment_name(name) + (" or DATABASE_URL" if name in ROLES else "")
        raise SettingsError(
            f"{wanted} is not set, and no `weir up` runs on {self.settings.data_dir.absolute()}: "
            f"start `weir up`, point WEIR_DATA_DIR at a running one, or set {wanted}",
            variable=environment_name(name),
        )


def _bytes(secret: SecretStr | None) -> bytes | None:
    return None if secret is None else secret.get_secret_value().encode()


def resolve_endpoints(settings: Settings) -> Endpoints:
    """Explicit settings win; else the servers of a `weir up` that runs on the data directory."""
    return Endpoints(settings, read_servers_file(settings.data_dir))


def gateway_url(settings: Settings) -> str:
    """Where this machine reaches a gateway that listens as `settings` say."""
    return _url_of(settings, settings.gateway_host, settings.gateway_port)


def analytics_url(settings: Settings) -> str:
    """The same of the analytics API."""
    return _url_of(settings, settings.analytics_host, settings.analytics_port)


def _url_of(settings: Settings, host: str, port: int) -> str:
    reached = "127.0.0.1" if host in ("0.0.0.0", "::", "") else host  # noqa: S104
    scheme = "http" if settings.tls_certificate is None else "https"
    return f"{scheme}://{f'[{reached}]' if ':' in reached else reached}:{port}"


def with_role(database_url: str, role: str) -> str:
    """`database_url` whose sessions start with SET ROLE `role`; all else in it stays byte for byte.

    libpq takes several `-c` in one `options`, the last one winning, and only one `options`.
    It decodes %20 but not +, hence quote and unquote, not their form-encoding kin.
    """
    base, _, query = database_url.partition("?")
    parameters = [part for part in query.split("&") if part]
    kept = [part for part in parameters if not part.startswith("options=")]
    given = [unquote(part.removeprefix("options=")) for part in parameters if part.startswith("options=")]
    options = quote(" ".join([*given[-1:], f"-c role={role}"]), safe="")
    return f"{base}?{'&'.join([*kept, f'options={options}'])}"
