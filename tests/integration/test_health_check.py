"""The container's health check as the image runs it, on a part that has its certificate from a private CA."""

import http.server
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CHECK = Path(__file__).parents[2] / "deploy" / "docker" / "health_check.py"


class Answering(http.server.BaseHTTPRequestHandler):
    """200, or 503 for /away."""

    def do_GET(self) -> None:
        self.send_response(503 if self.path == "/away" else 200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """part.pem and other.pem, with their keys, of a CA that nothing else here knows."""
    new = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    commands = [f"req -x509 {new} -subj /CN=ca -keyout ca.key -out ca.pem"]
    for name in ("part", "other"):
        signed = "-addext subjectAltName=DNS:events.example.com -CA ca.pem -CAkey ca.key"
        commands.append(f"req -x509 {new} -subj /CN={name} {signed} -keyout {name}.key -out {name}.pem")
    for command in commands:
        subprocess.run(["openssl", *command.split()], cwd=tmp_path, check=True, capture_output=True, timeout=60)
    return tmp_path


@contextmanager
def serving(certificate: Path | None) -> Iterator[int]:
    """Its port."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, certificate.with_suffix(".key"))
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def exit_code(url: str, certificate: Path | None = None) -> int:
    given = {"WEIR_TLS_CERTIFICATE": str(certificate)} if certificate else {}
    environment = {"PATH": os.environ["PATH"], "HEALTH_URL": url, **given}
    done = subprocess.run([sys.executable, "-I", CHECK], env=environment, capture_output=True, timeout=60, check=False)
    return done.returncode


def test_a_part_with_a_private_certificate_is_healthy_and_another_in_its_place_is_not(certificates: Path) -> None:
    own = certificates / "part.pem"
    with serving(own) as port:
        assert exit_code(f"https://127.0.0.1:{port}/readyz", own) == 0
        assert exit_code(f"https://127.0.0.1:{port}/away", own) == 1
        assert exit_code(f"https://127.0.0.1:{port}/readyz") == 1
    with serving(certificates / "other.pem") as port:
        assert exit_code(f"https://127.0.0.1:{port}/readyz", own) == 1


def test_a_part_without_tls_is_healthy_while_it_answers() -> None:
    with serving(None) as port:
        assert exit_code(f"http://127.0.0.1:{port}/metrics") == 0
        assert exit_code(f"http://127.0.0.1:{port}/away") == 1
    assert exit_code(f"http://127.0.0.1:{port}/metrics") == 1
