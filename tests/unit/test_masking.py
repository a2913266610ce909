"""Secrets do not leave in text; what is not secret stays readable."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from shared.logs import configure_logs, mask_line
from shared.masking import mask_secrets


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("redis://:pass@h:6379/0", "redis://:***@h:6379/0"),
        ("postgresql://u:p%40ss@h/db", "postgresql://u:***@h/db"),
        ("postgresql://u:p@ss@h/db", "postgresql://u:***@h/db"),
        ("host=h password=secret user=u", "host=h password=*** user=u"),
        ("host=h password='a b' user=u", "host=h password=*** user=u"),
        ("postgresql://h/db?password=secret&user=u", "postgresql://h/db?password=***&user=u"),
        ("key weir_abcDEF123456_" + "s" * 38, "key weir_abcDEF123456_***"),
        ("http://127.0.0.1:8000/path@x", "http://127.0.0.1:8000/path@x"),
        ("no secret: weir_keys, a@b.c", "no secret: weir_keys, a@b.c"),
    ],
)
def test_only_the_secret_part_is_masked(text: str, masked: str) -> None:
    assert mask_secrets(text) == masked


def test_a_log_line_is_masked_at_any_depth_and_loses_quoted_rows() -> None:
    line = mask_line(
        None,
        "error",
        {
            "event": "write_failed",
            "where": {"urls": ["redis://:pass@h/0"]},
            "exception": "UniqueViolation: duplicate key\nDETAIL:  Key (id)=(their data) exists.\nCONTEXT:  COPY x",
            "count": 3,
        },
    )
    assert line == {
        "event": "write_failed",
        "where": {"urls": ["redis://:***@h/0"]},
        "exception": "UniqueViolation: duplicate key\n",
        "count": 3,
    }


@pytest.fixture
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("_logging_as_before")
def test_lines_of_weir_and_of_libraries_are_json_with_an_action(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(level="info", form="json", service="gateway", instance="host-1")
    structlog.get_logger().info("batch_stored", events=500)
    logging.getLogger("uvicorn.error").warning("lost %s", "redis://:pass@h/0")
    logging.getLogger("uvicorn.access").info("GET / 200")
    structlog.get_logger().debug("too_small_to_tell")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["action"] for line in lines] == ["batch_stored", "uvicorn.error"]
    assert lines[0] | {"events": 500, "service": "gateway", "instance": "host-1", "level": "info"} == lines[0]
    assert lines[1]["text"] == "lost redis://:***@h/0"


@pytest.mark.usefixtures("_logging_as_before")
def test_a_traceback_holds_no_local_variables(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(level="info", form="console", service="gateway")
    payload = "their " + "data"
    try:
        raise ValueError(len(payload))
    except ValueError:
        structlog.get_logger().exception("decode_failed")
    told = capsys.readouterr().err
    assert "ValueError: 10" in told
    assert payload not in told
