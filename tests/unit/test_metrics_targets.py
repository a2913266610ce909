"""Every processor of one machine has a metrics port of its own, and one file names all of them."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from deploy.fleet.metrics_targets import MetricsTargets
from shared.settings import load_settings
from tests.no_settings import forget_settings


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    forget_settings(monkeypatch, tmp_path)


def targets(folder: Path, *, front: bool = True, **settings: object) -> MetricsTargets:
    return MetricsTargets(load_settings({"data_dir": folder, **settings}), front=front)


def written(folder: Path, name: str = "metrics-targets.json") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / name).read_bytes())
    return found


def test_without_a_port_each_processor_gets_a_free_one(tmp_path: Path) -> None:
    some = targets(tmp_path)
    assert len({some.add(number) for number in range(1, 9)} - {0}) == 8


def test_from_a_given_port_they_are_counted_up_past_those_that_are_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        first = other.getsockname()[1]
        some = targets(tmp_path, processor_metrics_port=first)
        ports = [some.add(number) for number in (1, 2, 3)]
    assert first < ports[0] < ports[1] < ports[2]


def test_the_file_names_all_parts_with_addresses_that_can_be_called(tmp_path: Path) -> None:
    some = targets(tmp_path, gateway_host="0.0.0.0", processor_metrics_host="::1")
    one, two = some.add(1), some.add(2)
    front = [
        {"targets": ["127.0.0.1:8000"], "labels": {"job": "weir-gateway", "part": "gateway"}},
        {"targets": ["127.0.0.1:8001"], "labels": {"job": "weir-analytics", "part": "analytics"}},
    ]
    processors = [
        {"targets": [f"[::1]:{one}"], "labels": {"job": "weir-processor", "part": "processor-1"}},
        {"targets": [f"[::1]:{two}"], "labels": {"job": "weir-processor", "part": "processor-2"}},
    ]
    assert written(tmp_path) == front + processors
    some.remove(2)
    assert written(tmp_path) == front + processors[:1]


def test_a_machine_that_only_supervises_names_its_processors_in_a_file_of_its_own(tmp_path: Path) -> None:
    some = targets(tmp_path, front=False)
    some.add(1)
    (group,) = written(tmp_path, "metrics-targets-supervised.json")
    assert group["labels"] == {"job": "weir-processor", "part": "processor-1"}
    assert not (tmp_path / "metrics-targets.json").exists()
