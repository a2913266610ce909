"""A real Prometheus on a port of its own, for as long as a block lasts."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from deploy.embedded.local_address import free_port
from tests.monitoring import ALERTS, DEPLOY
from tests.waiting import eventually


class PrometheusUnderTest:
    """Asks its HTTP interface."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.log = log
        self.http = httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=10)

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.http.get("/-/ready").status_code == 200
        except httpx2.TransportError:
            return False

    def ask(self, path: str, **parameters: str) -> Any:
        """The data of an answer that must be a success."""
        document = (
            self.http.post(f"/api/v1/{path}", data=parameters) if parameters else self.http.get(f"/api/v1/{path}")
        )
        answer = document.json()
        assert answer["status"] == "success", (parameters, answer)
        return answer["data"]

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Labels and value of each series now."""
        return [(one["metric"], float(one["value"][1])) for one in self.ask("query", query=expression)["result"]]

    def value(self, expression: str) -> float | None:
        """The one value; None when there is none yet."""
        found = self.query(expression)
        return found[0][1] if found else None

    def health_of_targets(self) -> dict[str, str]:
        """By job and address."""
        targets = self.ask("targets")["activeTargets"]
        return {f"{one['labels']['job']} {one['labels']['instance']}": one["health"] for one in targets}


@contextmanager
def running_prometheus(folder: Path, targets_file: Path) -> Iterator[PrometheusUnderTest]:
    """With the configuration that is shipped for `weir up`, but for its paths and a quicker pace."""
    program = shutil.which("prometheus")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("prometheus must be there in CI: apt-get install prometheus")
        pytest.skip("prometheus is not installed")
    config = yaml.safe_load((DEPLOY / "prometheus" / "local.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s", "scrape_timeout": "1s"}
    config["rule_files"] = [str(ALERTS)]
    (job,) = config["scrape_configs"]
    job["file_sd_configs"] = [{"files": [str(targets_file)]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port, log = free_port(), folder / "prometheus.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'tsdb'}",
             f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"],
            stdout=output, stderr=subprocess.STDOUT, cwd=folder,
        )  # fmt: skip
    try:
        prometheus = PrometheusUnderTest(process, port, log)
        eventually(prometheus.is_ready, within_seconds=30, what="Prometheus is ready")
        yield prometheus
        prometheus.http.close()
    finally:
        process.terminate()
        try:
            process.wait(15)
        finally:
            process.kill()
