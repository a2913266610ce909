"""How `weir` ends: exit code 0, 1 or 2, one line for an error, a traceback only when asked for."""

import json
import signal
import socket
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer

from deploy.cli import run
from deploy.cli.command_name import command_name, command_place
from deploy.cli.command_table import COMMANDS
from deploy.cli.next_steps import next_step
from deploy.load.summary import Summary, summarise
from deploy.load.tally import Tally
from shared.settings import load_settings
from tests.no_settings import forget_settings


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    forget_settings(monkeypatch, tmp_path)


Output = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], [], ["db", "--help"], ["config", "-h"], ["keys"], ["gateway"]]
)
def test_what_was_asked_for_is_no_error(capsys: Output, arguments: list[str]) -> None:
    assert run(arguments) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["confg"], "weir: No such command 'confg'. Did you mean 'config'?\n"),
        (["config", "--jsn"], "weir: No such option: --jsn (Possible options: --json)\n"),
        (["up", "--data-dir", ""], "weir: Invalid value for '--data-dir': it is empty"),
        (["load", "--batch", "5000"], "weir: --batch 5000: the gateway takes 1000 events a request at most"),
        (["keys", "create"], "weir: Missing option '--client-id'.\n"),
        (["keys", "create", "--client-id", "a b"], "weir: --client-id 'a b' must be 1 to 128 of"),
        (["keys", "create", "--client-id", "a", "--expires-at", "2001-01-01"], "weir: --expires-at 2001"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(capsys: Output, arguments: list[str], told: str) -> None:
    assert run(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(told)
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [["db", "status"], ["keys", "list", "--json"], ["db", "migrate", "--data-dir", "elsewhere"]]
)
def test_an_error_is_one_line_on_stderr_and_exit_1(capsys: Output, arguments: list[str]) -> None:
    assert run(arguments) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("weir: ")
    assert "start `weir up`" in output.err
    assert output.err.count("\n") == 1


def test_a_server_that_does_not_answer_is_one_line_without_its_password(
    capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://owner:hunter2@127.0.0.1:1/weir")
    assert run(["db", "status"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("weir: postgresql: ")
    assert error.count("\n") == 1
    assert "hunter2" not in error


@pytest.mark.parametrize(
    ("service", "said", "step"),
    [
        ("postgresql", 'OperationalError: connection failed: FATAL: role "weir_keys" does not exist', "db migrate"),
        ("postgresql", 'Outage: connection failed: FATAL: password authentication failed for user "u"', "the password"),
        ("postgresql", 'Outage: connection failed: FATAL: permission denied to set role "weir_keys"', "GRANT"),
        ("postgresql", "Outage: connection failed: Connection refused", "start PostgreSQL"),
        ("postgresql", "InsufficientPrivilege: permission denied for table events", "the owner"),
        ("redis", "Outage: redis: AuthenticationError: invalid username-password pair", "REDIS_URL"),
        ("redis", "Outage: redis: ConnectionError: Error 111 connecting to h:1. Connection refused.", "start Redis"),
        ("redis", "Outage: redis: something new", ""),
    ],
)
def test_what_a_server_said_comes_with_what_to_do(service: str, said: str, step: str) -> None:
    told = next_step(service, said)
    assert step in told
    assert bool(told) == bool(step)


@pytest.mark.parametrize(("given", "place"), [(None, ""), ("my data", " --data-dir 'my data'")])
def test_hints_lead_to_the_same_servers(given: str | None, place: str) -> None:
    assert command_place(load_settings({"data_dir": given})) == place


def test_a_port_that_is_taken_is_named_with_the_setting_to_change(
    capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        for service in ("gateway", "analytics"):
            monkeypatch.setenv(f"WEIR_{service.upper()}_PORT", str(port))
            assert run([service, "run"]) == 1
            assert capsys.readouterr().err == (
                f"weir: the {service} cannot listen on 127.0.0.1:{port} (Address already in use): "
                f"choose another port with WEIR_{service.upper()}_PORT\n"
            )


def test_debug_adds_the_traceback(capsys: Output) -> None:
    assert run(["db", "status", "--debug"]) == 1
    error = capsys.readouterr().err
    assert "Traceback" in error
    assert error.splitlines()[-1].startswith("weir: DATABASE_URL is not set")


def test_what_destroys_asks_and_leaves_all_as_it_was_without_a_yes() -> None:
    asked = subprocess.run(
        [sys.executable, "-c", "from deploy.cli import main; main()", "keys", "delete", "abc"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert asked.returncode == 1
    assert asked.stdout.strip() == ""
    assert "nothing was changed" in asked.stderr


def test_config_tells_values_and_sources_without_secrets(capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "hunter2")
    monkeypatch.setenv("REDIS_URL", "redis://:hunter2@h/0")
    assert run(["config", "--json", "--data-dir", "there"]) == 0
    output = capsys.readouterr().out
    assert "hunter2" not in output
    found = {row["setting"]: (row["value"], row["source"]) for row in json.loads(output)}
    assert found["REDIS_URL"] == ("redis://:***@h/0", "environment")
    assert found["SECRET_KEY"] == ("***", "environment")
    assert found["WEIR_DATA_DIR"] == ("there", "option")
    assert found["WEIR_GATEWAY_PORT"] == ("8000", "default")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_is_for(name: str) -> None:
    module, line = COMMANDS[name]
    assert module.startswith("deploy.cli.")
    assert line.endswith(".")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_commands_help_teaches_with_an_example(name: str) -> None:
    command: Any = typer.main.get_command(import_module(COMMANDS[name][0]).app)
    for one in getattr(command, "commands", {name: command}).values():
        assert "Example: `" in (one.help or ""), one.name


@pytest.mark.parametrize("name", COMMANDS)
def test_no_help_loses_what_stands_in_brackets_or_offers_what_goes_nowhere(capsys: Output, name: str) -> None:
    command: Any = typer.main.get_command(import_module(COMMANDS[name][0]).app)
    for path in [[name], *([name, one] for one in getattr(command, "commands", {}))]:
        assert run([*path, "--help"]) == 0
        told = capsys.readouterr().out
        assert " ." not in " ".join(told.split()).replace(" .weir", "").replace(" .env", ""), told
        assert "completion" not in told
        assert "Usage: " in told


def test_a_group_alone_shows_its_help(capsys: Output) -> None:
    assert run(["keys"]) == 0
    assert "Create, list and change API keys." in capsys.readouterr().out


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_load_that_was_stopped_says_what_it_did_not_send(
    capsys: Output, monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    tally = Tally(began=0.0, ended=2.0, sent_events=100, requests=1)

    async def stopped(*_: object) -> Summary:
        return summarise(tally, None, url="", client_id=None, cpu_seconds=0.1, stopped_by=number)

    monkeypatch.setattr("deploy.load.session.load", stopped)
    assert run(["load", "--events", "500", "--json"]) == code
    told = capsys.readouterr()
    assert json.loads(told.out)["interrupted"]
    assert told.err.endswith(f"weir: stopped by {signal.Signals(number).name}; 400 of 500 events were not sent\n")


@pytest.mark.parametrize(
    ("called", "found", "named"),
    [
        (".venv/bin/weir", None, ".venv/bin/weir"),
        ("bin/weir", "bin/weir", "weir"),
        ("deploy/__main__.py", None, "weir"),
    ],
)
def test_hints_name_the_command_as_it_was_called(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, called: str, found: str | None, named: str
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/weir").touch()
    monkeypatch.setattr(sys, "argv", [called])
    monkeypatch.setattr("shutil.which", lambda _: found and str(tmp_path / found))
    assert command_name() == named


def test_help_imports_no_command() -> None:
    program = "import sys; from deploy.cli import run; run(['--help']); print(*sys.modules)"
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    ).stdout
    assert not {"psycopg", "redis", "fastapi", "deploy.cli.db"} & set(told.split())
