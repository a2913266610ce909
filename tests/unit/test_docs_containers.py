"""The container files say nothing the code does not know; named test_docs…, so that `make check` runs it."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.services.http_protocol import MAX_HEAD_BYTES
from ingest_gateway.preferences import MAX_WAIT_SECONDS
from shared.metric_definitions import EVERY_METRIC
from shared.settings import Settings, environment_name

TOP = Path(__file__).parents[2]
KUBERNETES = TOP / "deploy" / "kubernetes"
BASE, EXAMPLE = KUBERNETES / "base", KUBERNETES / "example"
COMPOSE = yaml.safe_load((TOP / "compose.yaml").read_text())
PROXY = (TOP / "deploy" / "nginx" / "weir.conf").read_text()
KNOWN = {environment_name(name) for name in Settings.model_fields}
DRAIN_SECONDS = 8


def resources(folder: Path) -> list[str]:
    found: list[str] = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    return found


def manifests(*kinds: str) -> list[dict[str, Any]]:
    """Those of the base, of these kinds if any are named."""
    files = [BASE / name for name in resources(BASE)]
    documents = [document for file in files for document in yaml.safe_load_all(file.read_text())]
    return [document for document in documents if not kinds or document["kind"] in kinds]


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    for manifest in manifests("Deployment", "Job"):
        yield manifest["metadata"]["name"], manifest["spec"]["template"]


def containers() -> Iterator[tuple[str, dict[str, Any]]]:
    return ((name, container) for name, pod in pods() for container in pod["spec"]["containers"])


@pytest.mark.parametrize("folder", [BASE, EXAMPLE], ids=["base", "example"])
def test_kustomize_finds_every_file_and_leaves_none_out(folder: Path) -> None:
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    named = kustomization["resources"] + [patch["path"] for patch in kustomization.get("patches", [])]
    assert {(folder / name).exists() for name in named} == {True}
    assert {file.name for file in folder.glob("*.yaml")} - set(named) == {"kustomization.yaml"}


def test_the_manifests_are_valid() -> None:
    files = [BASE / name for name in resources(BASE)] + [EXAMPLE / "namespace.yaml"]
    done = subprocess.run(
        [Path(sys.executable).with_name("kubernetes-validate"), "--strict", *files],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    unknown = set(re.findall(r"schema for kind (\w+)", done.stdout + done.stderr))
    assert unknown <= {"ServiceMonitor", "PodMonitor", "ScaledObject"}


def test_a_patch_changes_something_that_is_there() -> None:
    there = {(manifest["kind"], manifest["metadata"]["name"]) for manifest in manifests()}
    for patch in yaml.safe_load((EXAMPLE / "kustomization.yaml").read_text())["patches"]:
        changed = yaml.safe_load((EXAMPLE / patch["path"]).read_text())
        assert (changed["kind"], changed["metadata"]["name"]) in there
        assert set(changed.get("data", {})) <= KNOWN


def test_whatever_selects_pods_finds_some() -> None:
    found = {pod["metadata"]["labels"]["app.kubernetes.io/name"] for _, pod in pods()}
    for manifest in manifests("Deployment", "Service", "PodDisruptionBudget", "ServiceMonitor", "PodMonitor"):
        selector = manifest["spec"]["selector"]
        labels = selector.get("matchLabels", selector)
        assert labels["app.kubernetes.io/name"] in found, manifest["metadata"]
    for policy in manifests("NetworkPolicy"):
        for rule in policy["spec"]["podSelector"].get("matchExpressions", []):
            assert set(rule["values"]) <= found, policy["metadata"]
    deployments = {manifest["metadata"]["name"] for manifest in manifests("Deployment")}
    for scaler in manifests("HorizontalPodAutoscaler", "ScaledObject"):
        assert scaler["spec"]["scaleTargetRef"]["name"] in deployments


def test_containers_are_confined_bounded_and_probed() -> None:
    for name, pod in pods():
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True, name
    for name, container in containers():
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"] is True, name
        assert security["allowPrivilegeEscalation"] is False, name
        assert security["capabilities"] == {"drop": ["ALL"]}, name
        assert "memory" in container["resources"]["limits"], name
        assert container["image"] == "weir", name
        ports = {port["name"] for port in container.get("ports", [])}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe") if name != "weir-migrate" else ():
            assert container[probe]["httpGet"]["port"] in ports, (name, probe)


def test_environments_hold_settings_that_exist_and_no_secret() -> None:
    (config,) = manifests("ConfigMap")
    assert set(config["data"]) <= KNOWN
    own = {
        "weir-migrate": ("weir-operator", "DATABASE_URL"),
        "weir-gateway": ("weir-gateway", "WEIR_GATEWAY_DATABASE_URL"),
        "weir-processor": ("weir-processor", "WEIR_PROCESSOR_DATABASE_URL"),
        "weir-analytics": ("weir-analytics", "ANALYTICS_DATABASE_URL"),
    }
    for name, container in containers():
        variables = {variable["name"]: variable for variable in container["env"]}
        assert set(variables) <= KNOWN, name
        secrets = {
            key: variable["valueFrom"]["secretKeyRef"] for key, variable in variables.items() if "valueFrom" in variable
        }
        holder, database = own[name]
        assert {key: reference["key"] for key, reference in secrets.items()} == {
            database: "database-url",
            "REDIS_URL": "redis-url",
            "SECRET_KEY": "secret-key",
        }, name
        assert {reference["name"] for reference in secrets.values()} == {holder}, name
    for service in COMPOSE["services"].values():
        if service["image"] == "weir":
            assert set(service["environment"]) - {"HEALTH_URL"} <= KNOWN
    assert not manifests("Secret")


def test_what_is_told_to_end_has_longer_than_its_drain() -> None:
    (config,) = manifests("ConfigMap")
    assert config["data"]["WEIR_DRAIN_SECONDS"] == str(DRAIN_SECONDS)
    for manifest in manifests("Deployment"):
        assert manifest["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > DRAIN_SECONDS + 5
    for service in COMPOSE["services"].values():
        if service["image"] == "weir":
            assert service["environment"]["WEIR_DRAIN_SECONDS"] == str(DRAIN_SECONDS)
            assert int(service["stop_grace_period"].removesuffix("s")) > DRAIN_SECONDS


def test_compose_bounds_every_service_and_opens_ports_to_this_machine_only() -> None:
    for name, service in COMPOSE["services"].items():
        assert "mem_limit" in service, name
        assert service["read_only"] is True, name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name


def test_processors_are_scaled_by_a_metric_that_exists() -> None:
    (scaled,) = manifests("ScaledObject")
    for trigger in scaled["spec"]["triggers"]:
        named = set(re.findall(r"weir_\w+", trigger["metadata"]["query"]))
        assert named
        assert named <= {metric.name for metric in EVERY_METRIC}


def test_the_front_door_bounds_as_the_services_do() -> None:
    assert Settings.model_fields["max_body_bytes"].default == 5 * 1024**2
    assert "client_max_body_size 5m;" in PROXY
    assert MAX_HEAD_BYTES == 4 * 16 * 1024
    assert "large_client_header_buffers 4 16k;" in PROXY
    assert Settings.model_fields["body_timeout_seconds"].default == 10
    assert {int(seconds) > MAX_WAIT_SECONDS for seconds in re.findall(r"proxy_read_timeout (\d+)s", PROXY)} == {True}


def test_compose_gives_the_front_door_every_name_its_configuration_has() -> None:
    names = set(re.findall(r"\$\{(\w+)\}", PROXY))
    proxy = COMPOSE["services"]["proxy"]
    assert names == {name for name in proxy["environment"] if name.startswith("FRONT_DOOR_")}
    trusted = COMPOSE["x-settings"]["WEIR_TRUSTED_PROXIES"]
    assert proxy["networks"]["default"]["ipv4_address"] == trusted


def test_each_part_in_compose_has_logins_of_its_own_and_none_the_owners() -> None:
    for part, variable in (
        ("gateway", "WEIR_GATEWAY_DATABASE_URL"),
        ("processor", "WEIR_PROCESSOR_DATABASE_URL"),
        ("analytics", "ANALYTICS_DATABASE_URL"),
    ):
        environment = COMPOSE["services"][part]["environment"]
        assert environment[variable].startswith(f"postgresql://weir_{part}:${{{part.upper()}_PASSWORD}}@")
        assert environment["REDIS_URL"].startswith(f"redis://weir-{part}:${{{part.upper()}_PASSWORD}}@")
        assert "DATABASE_URL" not in environment
        assert not {name for name, value in environment.items() if "POSTGRES_PASSWORD" in value}
    users = (TOP / "deploy" / "redis" / "users.acl").read_text()
    filled_in = set(re.findall(r"s/(\w+_SHA256)/", str(COMPOSE["services"]["redis"]["command"])))
    assert filled_in == set(re.findall(r"#(\w+_SHA256)", users))


def test_the_example_of_env_has_every_secret_that_compose_asks_for() -> None:
    asked = set(re.findall(r"\$\{(\w+):\?", (TOP / "compose.yaml").read_text()))
    assert asked == set(re.findall(r"^(\w+)=$", (TOP / ".env.example").read_text(), re.MULTILINE))
