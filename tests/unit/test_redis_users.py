"""The shipped Redis users may run every command of the functions their parts call, also of those no test calls."""

import re
from pathlib import Path

import pytest

from tests.least_rights import ROOT, USERS

CALL = re.compile(r"redis\.call\('([A-Z]+)'(?:, *'([A-Z]+)')?")
WITH_SUBCOMMANDS = {"XINFO", "XGROUP"}
COMMON = ("append", "sliding_window", "record_request", "admit_request")
FUNCTIONS = {
    "gateway": ["ingest_gateway/lua/*.lua", *(f"shared/lua/{name}.lua" for name in (*COMMON, "replay_events"))],
    "processor": ["stream_processor/lua/*.lua", "shared/lua/append.lua", "shared/lua/replay_events.lua"],
    "analytics": [f"shared/lua/{name}.lua" for name in COMMON],
}


def commands(path: Path) -> set[str]:
    """What a file of Lua calls, as the rules of a user name it."""
    calls = CALL.findall(path.read_text())
    return {f"{name}|{sub}".lower() if name in WITH_SUBCOMMANDS else name.lower() for name, sub in calls}


def allowed(part: str) -> set[str]:
    (line,) = [line for line in USERS.read_text().splitlines() if line.startswith(f"user weir-{part} ")]
    return {rule.removeprefix("+") for rule in line.split() if rule.startswith("+")}


@pytest.mark.parametrize("part", FUNCTIONS)
def test_a_part_may_run_what_its_functions_call(part: str) -> None:
    files = [path for pattern in FUNCTIONS[part] for path in ROOT.glob(pattern)]
    called = set().union(*map(commands, files))
    assert len(called) > 8
    assert called - allowed(part) == set()
