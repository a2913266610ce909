"""The front door as it is shipped: Debian's nginx with deploy/nginx/weir.conf, a port and a certificate of its own."""

import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded.local_address import free_port
from tests.waiting import eventually

CONFIGURATION = Path(__file__).parents[1] / "deploy" / "nginx" / "weir.conf"
_MAIN = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/weir.conf;
}}
"""


@dataclass(frozen=True)
class FrontDoor:
    """Where it listens, and how to trust its certificate."""

    port: int
    trust: ssl.SSLContext

    @property
    def address(self) -> str:
        return f"https://127.0.0.1:{self.port}"


def fill_in(text: str, values: dict[str, str]) -> str:
    """As the nginx image's envsubst does: only the FRONT_DOOR_ names, each of which must have a value."""
    return re.sub(r"\$\{(FRONT_DOOR_\w+)\}", lambda found: values[found[1]], text)


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1, and its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=weir", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


@contextmanager
def running_front_door(folder: Path, gateway_port: int, analytics_port: int) -> Iterator[FrontDoor]:
    """nginx in front of both services until the block ends."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    assert program, "nginx is not installed; run: apt-get install nginx-light"
    certificate, key = make_certificate(folder)
    port = free_port()
    values = {
        "FRONT_DOOR_RESOLVER": "127.0.0.1",
        "FRONT_DOOR_GATEWAY": f"127.0.0.1:{gateway_port}",
        "FRONT_DOOR_ANALYTICS": f"127.0.0.1:{analytics_port}",
        "FRONT_DOOR_LISTEN": f"127.0.0.1:{port}",
        "FRONT_DOOR_CERTIFICATE": str(certificate),
        "FRONT_DOOR_CERTIFICATE_KEY": str(key),
    }
    (folder / "weir.conf").write_text(fill_in(CONFIGURATION.read_text(), values))
    main, log = folder / "nginx.conf", folder / "nginx.log"
    main.write_text(_MAIN.format(folder=folder))
    with log.open("wb") as errors:
        process = subprocess.Popen([program, "-p", folder, "-c", main], stdout=errors, stderr=errors)
    try:
        eventually(lambda: _listens(process, port, log), within_seconds=20, what="nginx listens")
        yield FrontDoor(port, ssl.create_default_context(cafile=certificate))
    finally:
        process.terminate()
        process.wait(20)


def _listens(process: subprocess.Popen[bytes], port: int, log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
