"""The OpenAPI documents are true: schemathesis asks by them, for good and for bad, and looks whether it is so."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from shared.api_keys import Scope
from tests.contract.hostile.conftest import Site
from tests.gateway_process import store_key

LATE_SECONDS = 280
EXAMPLES = 8
CONFIGURATION = """
continue-on-failure = true
max-failures = 100
max-stream-events = 1
request-timeout = 30.0
workers = 1

[generation]
deterministic = true
max-examples = {examples}
mode = "all"

[phases.stateful]
enabled = false

[auth.openapi.header]
api_key = "{key}"

[checks.positive_data_acceptance]
# A schema cannot say that `from` lies before `to`, that a time is inside the retention, or what a cursor holds.
expected-statuses = ["2xx", "404", "422"]

[output.sanitization]
enabled = true

[parameters]
# A key of its own: the calls for keys change and delete those they find.
"path.public_id" = "{victim}"
"""


@pytest.mark.timeout(LATE_SECONDS + 20)
@pytest.mark.parametrize("service", ["gateway", "analytics"])
def test_a_service_does_what_its_openapi_document_says(site: Site, service: str, tmp_path: Path) -> None:
    """Every check of schemathesis: no 5xx, only documented statuses, media types, headers and bodies, bad requests
    refused, no other method served, no call without its key.
    """
    configuration = tmp_path / "schemathesis.toml"
    key, victim = (store_key(site.database_url, "fuzzed", Scope.ADMIN) for _ in range(2))
    public_id = victim.split("_")[1]
    configuration.write_text(CONFIGURATION.format(examples=EXAMPLES, key=key, victim=public_id))
    run = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "--config-file", str(configuration), "run", "--no-color",
         "--exclude-path", "/api/v1/live/events",  # its answer does not end
         f"http://127.0.0.1:{site.ports[service]}/openapi.json"],
        cwd=tmp_path, capture_output=True, text=True, timeout=LATE_SECONDS, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-12_000:] + run.stderr[-2000:]
    assert re.search(r"[1-9][0-9]+ generated", run.stdout)
    assert "Authentication failed" not in run.stdout, "the key was lost on the way"
    assert not site.failures()
