"""TLS to and from every part, by settings: certificates of a CA of the test's own, and nobody else's are believed."""

import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import psycopg
import pytest
import redis
from websockets.sync.client import connect

from deploy.connections import store_connection, sync_redis
from deploy.embedded import binaries
from deploy.embedded.local_address import free_port
from deploy.embedded.redis_server import EmbeddedRedis
from deploy.endpoints import Endpoints
from deploy.services.certificate import check_certificate
from shared.api_keys import Scope
from shared.errors import SettingsError
from shared.settings import load_settings
from tests.gateway_process import INGEST, SECRET_KEY, ServiceProcess, new_event, store_key
from tests.no_settings import forget_settings
from tests.pipeline import stored_ids
from tests.waiting import eventually


def openssl(folder: Path, command: str) -> None:
    subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ca.pem, and of that CA server.pem and client.pem, with their keys; other.key belongs to none."""
    folder = tmp_path_factory.mktemp("certificates")
    new = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    openssl(folder, f"req -x509 {new} -subj /CN=ca -keyout ca.key -out ca.pem")
    for name in ("server", "client", "other"):
        extension = "-addext subjectAltName=IP:127.0.0.1"
        openssl(folder, f"req -x509 {new} -subj /CN={name} {extension} -CA ca.pem -CAkey ca.key "
                        f"-keyout {name}.key -out {name}.pem")  # fmt: skip
    return folder


@contextmanager
def redis_with_tls(folder: Path, certificates: Path) -> Iterator[str]:
    """Debian's Redis, whose clients must show a certificate; its URL without the files."""
    port = free_port()
    files = {
        "tls-ca-cert-file": certificates / "ca.pem",
        "tls-cert-file": certificates / "server.pem",
        "tls-key-file": certificates / "server.key",
    }
    config = {"tls-port": str(port), "tls-auth-clients": "yes", **{name: str(path) for name, path in files.items()}}
    with EmbeddedRedis(folder, binary=binaries.system_redis_server(), extra_config=config) as server:
        password = server.url.split("@")[0]
        yield f"{password.replace('redis://', 'rediss://')}@127.0.0.1:{port}/0"


def as_client(url: str, certificates: Path) -> str:
    return (
        f"{url}?ssl_ca_certs={certificates}/ca.pem"
        f"&ssl_certfile={certificates}/client.pem&ssl_keyfile={certificates}/client.key"
    )


def is_ready(service: ServiceProcess, http: httpx2.Client) -> bool:
    assert service.process.poll() is None, service.logs()
    try:
        return http.get("/readyz").status_code == 200
    except httpx2.TransportError:
        return False


def test_an_event_goes_its_whole_way_over_tls(certificates: Path, tmp_path: Path, database_url: str) -> None:
    trust = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    key = store_key(database_url, "acme", Scope.INGEST, Scope.READ)
    ports = {"gateway": free_port(), "analytics": free_port()}
    with redis_with_tls(tmp_path / "redis", certificates) as url:
        settings = {
            "REDIS_URL": as_client(url, certificates), "DATABASE_URL": database_url, "SECRET_KEY": SECRET_KEY,
            "WEIR_TLS_CERTIFICATE": str(certificates / "server.pem"), "WEIR_TLS_KEY": str(certificates / "server.key"),
            **{f"WEIR_{part.upper()}_PORT": str(port) for part, port in ports.items()},
        }  # fmt: skip
        services = {part: ServiceProcess([part, "run"], tmp_path, settings) for part in (*ports, "processor")}
        clients = {
            part: httpx2.Client(base_url=f"https://127.0.0.1:{port}", verify=trust, timeout=30)
            for part, port in ports.items()
        }
        try:
            for part, http in clients.items():
                eventually(lambda: is_ready(services[part], http), within_seconds=60, what=f"{part} is ready")  # noqa: B023
            headers = {"X-API-Key": key}
            event = new_event(event_id="secret")
            answer = clients["gateway"].post(INGEST, json=event, headers={**headers, "Prefer": "wait=30"})
            assert answer.status_code == 200, answer.text
            assert clients["analytics"].get("/api/v1/events/secret", headers=headers).status_code == 200
            live = f"wss://127.0.0.1:{ports['analytics']}/api/v1/ws/metrics"
            with connect(live, ssl=trust, additional_headers=headers) as websocket:
                websocket.send('{"type": "subscribe"}')
                assert websocket.recv(timeout=30)
            with pytest.raises(httpx2.TransportError):
                httpx2.get(f"https://127.0.0.1:{ports['gateway']}/healthz", timeout=30)
            with pytest.raises(httpx2.TransportError):
                httpx2.get(f"http://127.0.0.1:{ports['gateway']}/healthz", timeout=30)
        finally:
            for http in clients.values():
                http.close()
            for service in services.values():
                service.stop()
    assert stored_ids(database_url) == ["secret"]


def test_neither_side_of_redis_believes_a_stranger(certificates: Path, tmp_path: Path) -> None:
    with redis_with_tls(tmp_path / "redis", certificates) as url:
        with sync_redis(as_client(url, certificates), 10) as client:
            assert client.ping()
        for stranger in (url, f"{url}?ssl_ca_certs={certificates}/ca.pem"):
            with pytest.raises(redis.ConnectionError), sync_redis(stranger, 10) as client:
                client.ping()


@pytest.mark.parametrize("name", ["gateway_database_url", "processor_database_url", "analytics_database_url"])
def test_the_sslmode_of_database_url_holds_for_every_part(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The embedded PostgreSQL is built without TLS: who insists on it is not served."""
    forget_settings(monkeypatch, tmp_path)
    settings = load_settings({"database_url": f"{database_url}?sslmode=require"})
    with pytest.raises(psycopg.OperationalError, match="SSL"):
        store_connection(getattr(Endpoints(settings, None), name))


def test_a_certificate_that_cannot_be_served_is_named_at_the_start(certificates: Path, tmp_path: Path) -> None:
    openssl(certificates, "ec -in server.key -aes256 -passout pass:x -out locked.key")
    good = certificates / "server.pem"
    check_certificate(None, None)
    check_certificate(good, certificates / "server.key")
    for certificate, key, told in (
        (good, None, "WEIR_TLS_KEY is not set"),
        (None, certificates / "server.key", "WEIR_TLS_CERTIFICATE is not set"),
        (good, tmp_path / "absent.key", "absent.key"),
        (good, certificates / "other.key", "other.key"),
        (good, certificates / "locked.key", "locked.key"),
    ):
        with pytest.raises(SettingsError, match=told):
            check_certificate(certificate, key)


def test_a_fleet_finds_its_own_services_ready_over_tls(certificates: Path, tmp_path: Path) -> None:
    settings = {
        "WEIR_TLS_CERTIFICATE": str(certificates / "server.pem"), "WEIR_TLS_KEY": str(certificates / "server.key"),
        "WEIR_GATEWAY_PORT": str(free_port()), "WEIR_ANALYTICS_PORT": str(free_port()), "WEIR_PROCESSORS": "0",
    }  # fmt: skip
    up = ServiceProcess(["up"], tmp_path, settings)
    try:
        eventually(lambda: "up in" in up.logs() or up.process.poll() is not None, within_seconds=90, what="it is up")
        assert f"https://127.0.0.1:{settings['WEIR_GATEWAY_PORT']}" in up.logs()
    finally:
        up.terminate()
        up.ended(within_seconds=60)
