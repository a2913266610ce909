"""Every processor of a `weir up` has a metrics port of its own, and one file names them all."""

import json
from pathlib import Path

import pytest

from deploy.fleet.metrics_targets import processor_ports, write_targets
from shared.errors import SettingsError
from shared.settings import load_settings
from tests.no_settings import forget_settings


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    forget_settings(monkeypatch, tmp_path)


def test_without_a_port_each_processor_gets_a_free_one() -> None:
    ports = processor_ports(load_settings(), 8)
    assert len(set(ports)) == 8
    assert 0 not in ports


def test_from_a_given_port_they_are_counted_up() -> None:
    assert processor_ports(load_settings({"processor_metrics_port": 9100}), 3) == [9100, 9101, 9102]


def test_more_processors_than_ports_are_refused_with_the_setting() -> None:
    with pytest.raises(SettingsError, match="WEIR_PROCESSOR_METRICS_PORT=65534"):
        processor_ports(load_settings({"processor_metrics_port": 65_534}), 3)


def test_the_file_names_all_parts_with_addresses_that_can_be_called(tmp_path: Path) -> None:
    settings = load_settings({"gateway_host": "0.0.0.0", "processor_metrics_host": "::1"})
    path = write_targets(settings, tmp_path, [9100, 9101])
    assert json.loads(path.read_bytes()) == [
        {"targets": ["127.0.0.1:8000"], "labels": {"job": "weir-gateway", "part": "gateway"}},
        {"targets": ["127.0.0.1:8001"], "labels": {"job": "weir-analytics", "part": "analytics"}},
        {"targets": ["[::1]:9100"], "labels": {"job": "weir-processor", "part": "processor-1"}},
        {"targets": ["[::1]:9101"], "labels": {"job": "weir-processor", "part": "processor-2"}},
    ]
