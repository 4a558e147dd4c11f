"""The files that put Breakwater on machines agree with the code, with one another and with care.

No Docker engine and no Kubernetes is needed. What judges a file better than we do (hadolint,
promtool, the schemas of Compose and Kubernetes) is asked where it is installed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from connectors.clickhouse import RETRY_SECONDS
from flows.metrics import METRICS
from flows.settings import Settings

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
ONE_SHOT = {"topics", "schema"}
SERVERS = sorted(SERVICES.keys() - ONE_SHOT)
DOCKERFILE = (ROOT / "Dockerfile").read_text()
KUBERNETES = sorted((DEPLOY / "kubernetes").glob("*.yaml"))


def needs(tool: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(tool) is None, reason=f"{tool} is not installed")


def manifests() -> dict[tuple[str, str], dict[str, Any]]:
    """Every Kubernetes object by kind and name."""
    documents = [
        document
        for path in KUBERNETES
        if path.name != "kustomization.yaml"
        for document in yaml.safe_load_all(path.read_text())
    ]
    return {(d["kind"], d["metadata"]["name"]): d for d in documents}


class TestCompose:
    @pytest.mark.parametrize("name", SERVERS)
    def test_a_server_tells_its_health_and_comes_back(self, name: str) -> None:
        assert SERVICES[name]["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
        assert SERVICES[name]["restart"] == "unless-stopped"

    @pytest.mark.parametrize("name", sorted(SERVICES))
    def test_ports_are_open_to_this_machine_alone(self, name: str) -> None:
        ports = SERVICES[name].get("ports", [])
        assert [port for port in ports if not port.startswith("127.0.0.1:")] == []

    @pytest.mark.parametrize("name", sorted(SERVICES))
    def test_images_are_pinned(self, name: str) -> None:
        assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+(\.\d+)?", SERVICES[name]["image"])

    @pytest.mark.parametrize("name", sorted(SERVICES))
    def test_it_waits_until_what_it_needs_is_there(self, name: str) -> None:
        for needed, how in SERVICES[name].get("depends_on", {}).items():
            expected = "service_completed_successfully" if needed in ONE_SHOT else "service_healthy"
            assert how == {"condition": expected}

    def test_the_job_waits_for_everything(self) -> None:
        expected = {"kafka", "clickhouse", "valkey", "topics", "schema"}
        assert SERVICES["job"]["depends_on"].keys() == expected

    @pytest.mark.parametrize("name", sorted(SERVICES))
    def test_no_secret_stands_in_the_file(self, name: str) -> None:
        for setting, value in SERVICES[name].get("environment", {}).items():
            if re.search(r"PASSWORD|AUTH$|KEY$|WEBHOOK|DSN|REDIS_URL", setting):
                assert "${" in value, setting

    def test_every_password_that_it_asks_for_is_made(self) -> None:
        made = subprocess.run(
            ["sh", DEPLOY / "env.sh"], capture_output=True, text=True, check=True
        ).stdout
        again = subprocess.run(
            ["sh", DEPLOY / "env.sh"], capture_output=True, text=True, check=True
        ).stdout
        passwords = dict(re.findall(r"^(\w+)=([0-9a-f]{36})$", made, re.MULTILINE))
        asked = set(re.findall(r"\$\{(\w+):\?", (ROOT / "docker-compose.yml").read_text()))
        assert passwords.keys() == asked
        assert len(set(passwords.values())) == len(asked)
        assert made != again

    @pytest.mark.parametrize("name", ["topics", "schema", "job", "feedback", "console"])
    def test_our_own_containers_can_do_little(self, name: str) -> None:
        service = SERVICES[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]

    def test_every_setting_of_env_reaches_the_job(self) -> None:
        """Each is fixed, as it must be in here, or what .env says."""
        environment = SERVICES["job"]["environment"]
        wanted = {f"BREAKWATER_{name.upper()}" for name in Settings.model_fields}
        assert environment.keys() == wanted - {"BREAKWATER_CONSOLE_PASSWORD"}
        passed = {name for name, value in environment.items() if value == f"${{{name}:-}}"}
        named_by_env = settings_named_in((DEPLOY / "env.sh").read_text())
        assert named_by_env - {"BREAKWATER_CONSOLE_PASSWORD"} <= passed

    def test_one_service_builds_the_image_that_all_of_ours_run(self) -> None:
        ours = {name: one for name, one in SERVICES.items() if one["image"] == "breakwater:0.1.0"}
        assert [name for name, one in ours.items() if "build" in one] == ["topics"]
        assert {one["pull_policy"] for name, one in ours.items() if name != "topics"} == {"never"}

    def test_volumes_are_named_and_used(self) -> None:
        used = {
            volume.split(":")[0]
            for service in SERVICES.values()
            for volume in service.get("volumes", [])
        }
        assert {name for name in used if not name.startswith("./")} == COMPOSE["volumes"].keys()
        assert [name for name in used if name.startswith("./") and not (ROOT / name).is_dir()] == []

    def test_the_schema_of_compose(self) -> None:
        pytest.importorskip("check_jsonschema")
        command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema"]
        subprocess.run(
            [*command, "vendor.compose-spec", ROOT / "docker-compose.yml"],
            check=True,
            capture_output=True,
        )


class TestDockerfile:
    def test_it_runs_as_an_ordinary_user(self) -> None:
        users = re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE)
        assert users
        assert users[-1] == "10001:10001"

    def test_base_images_are_pinned(self) -> None:
        bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
        assert bases
        assert all(re.fullmatch(r"python:3\.11\.\d+-slim-\w+", base) for base in bases)

    def test_it_has_a_health_check_and_the_locked_versions(self) -> None:
        assert "\nHEALTHCHECK " in DOCKERFILE
        assert "--constraint requirements.lock" in DOCKERFILE
        # Else pip would fetch the newest setuptools to build the project with.
        assert "--no-build-isolation" in DOCKERFILE
        assert re.search(r"^setuptools==", (ROOT / "requirements.lock").read_text(), re.MULTILINE)

    def test_every_package_is_let_in(self) -> None:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())
        packages = project["tool"]["setuptools"]["packages"]["find"]["include"]
        let_in = set(re.findall(r"^!(\w+)/$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
        assert let_in == {package.rstrip("*") for package in packages}

    @needs("hadolint")
    def test_hadolint_finds_nothing(self) -> None:
        subprocess.run(["hadolint", ROOT / "Dockerfile"], check=True)


def settings_named_in(text: str) -> set[str]:
    return set(re.findall(r"\bBREAKWATER_[A-Z_]+", text))


@pytest.mark.parametrize(
    "path",
    [ROOT / "docker-compose.yml", ROOT / "Dockerfile", DEPLOY / "env.sh", *KUBERNETES],
    ids=lambda path: path.name,
)
def test_every_setting_named_is_a_setting(path: Path) -> None:
    known = {f"BREAKWATER_{name.upper()}" for name in Settings.model_fields}
    assert settings_named_in(path.read_text()) - known == set()


def known_series() -> set[str]:
    """Every series name that the job exposes, with the suffixes of its kind."""
    suffixes = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}
    return {
        family.name + suffix
        for metric in METRICS
        for family in metric.describe()
        for suffix in suffixes[family.type]
    }


def panels() -> Iterator[dict[str, Any]]:
    for path in sorted((DEPLOY / "grafana" / "dashboards").glob("*.json")):
        yield from json.loads(path.read_text())["panels"]


def expressions() -> list[str]:
    rules = yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text())
    return [rule["expr"] for group in rules["groups"] for rule in group["rules"]] + [
        target["expr"] for panel in panels() for target in panel["targets"]
    ]


class TestMonitoring:
    @pytest.mark.parametrize("expression", expressions())
    def test_every_series_asked_for_exists(self, expression: str) -> None:
        asked = set(re.findall(r"\bbreakwater_\w+", expression))
        assert asked or "up{" in expression
        assert asked - known_series() == set()

    @pytest.mark.parametrize("expression", expressions())
    def test_every_label_asked_for_exists(self, expression: str) -> None:
        grouped = re.findall(r"\bby \(([^)]*)\)", expression)
        matched = re.findall(r"[{,]\s*(\w+)\s*[=!]", expression)
        labels = {label.strip() for group in grouped for label in group.split(",")} | set(matched)
        known = {label for metric in METRICS for label in metric._labelnames}
        assert labels - known - {"le", "job", "instance"} == set()

    def test_panels_have_a_description_and_a_place_of_their_own(self) -> None:
        taken: set[tuple[int, int]] = set()
        for panel in panels():
            assert panel["description"]
            at = panel["gridPos"]
            cells = {
                (x, y)
                for x in range(at["x"], at["x"] + at["w"])
                for y in range(at["y"], at["y"] + at["h"])
            }
            assert at["x"] + at["w"] <= 24
            assert not cells & taken
            taken |= cells

    def test_panels_ask_the_provisioned_datasource(self) -> None:
        provisioned = yaml.safe_load(
            (DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text()
        )
        uids = {source["uid"] for source in provisioned["datasources"]}
        assert {panel["datasource"]["uid"] for panel in panels()} <= uids

    def test_prometheus_scrapes_the_port_of_the_job(self) -> None:
        config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
        targets = [
            target
            for scrape in config["scrape_configs"]
            for static in scrape["static_configs"]
            for target in static["targets"]
        ]
        port = SERVICES["job"]["environment"]["BREAKWATER_METRICS_PORT"]
        assert {f"job:{port}", f"feedback:{port}"} <= set(targets)

    def test_every_alert_has_a_paragraph_in_the_docs(self) -> None:
        headings = re.findall(
            r"^#+ (\w+)$", (ROOT / "docs" / "deploy.md").read_text(), re.MULTILINE
        )
        rules = yaml.safe_load((DEPLOY / "prometheus/rules.yml").read_text())
        for group in rules["groups"]:
            for rule in group["rules"]:
                anchor = rule["alert"].lower()
                assert rule["annotations"]["runbook"] == f"docs/deploy.md#{anchor}"
                assert rule["alert"] in headings

    def test_every_alert_is_tested(self) -> None:
        rules, tests = (
            (DEPLOY / "prometheus" / name).read_text() for name in ("rules.yml", "rules_test.yml")
        )
        alerts = set(re.findall(r"- alert: (\w+)", rules))
        fired = re.findall(r"alertname: (\w+)\n +exp_alerts", tests)
        assert alerts == set(fired)

    @needs("promtool")
    @pytest.mark.parametrize(
        "command", ["check config prometheus.yml", "test rules rules_test.yml"]
    )
    def test_promtool_accepts_and_proves_the_rules(self, command: str) -> None:
        subprocess.run(["promtool", *command.split()], cwd=DEPLOY / "prometheus", check=True)

    def test_rules_ring_at_alertmanager(self) -> None:
        config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
        [targets] = config["alerting"]["alertmanagers"]
        assert targets["static_configs"] == [{"targets": ["alertmanager:9093"]}]
        assert "alertmanager" in SERVICES

    @pytest.mark.parametrize(
        ("settings", "expected"),
        [
            ({}, {}),
            (
                {"BREAKWATER_PAGERDUTY_ROUTING_KEY": "a key"},
                {"pagerduty_configs": "https://events.pagerduty.com/v2/enqueue"},
            ),
            (
                {
                    "BREAKWATER_PAGERDUTY_ROUTING_KEY": "a key",
                    "BREAKWATER_SLACK_WEBHOOK_URL": "hook",
                }
                | {"BREAKWATER_PAGERDUTY_URL": "http://proxy/"},
                {"pagerduty_configs": "http://proxy/v2/enqueue", "slack_configs": None},
            ),
        ],
        ids=["nobody is named", "PagerDuty", "both, by a proxy"],
    )
    def test_alertmanager_sends_where_the_job_does(
        self, tmp_path: Path, settings: dict[str, str], expected: dict[str, str | None]
    ) -> None:
        stand_in = tmp_path / "alertmanager"
        stand_in.write_text("#!/bin/sh\n")
        stand_in.chmod(0o755)
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)}
        script = DEPLOY / "alertmanager" / "start.sh"
        subprocess.run(["sh", script], env=environment | settings, check=True)
        config = yaml.safe_load((tmp_path / "alertmanager.yml").read_text())
        [receiver] = config["receivers"]
        assert config["route"]["receiver"] == receiver.pop("name")
        assert {kind: one[0].get("url") for kind, one in receiver.items()} == expected
        # Keys stand in files that only it can read.
        assert [key for key in settings.values() if key in str(receiver) and "://" not in key] == []
        for one in (found for kind in receiver.values() for found in kind):
            key_file = Path(next(value for name, value in one.items() if name.endswith("_file")))
            assert key_file.read_text() in settings.values()
            assert key_file.stat().st_mode & 0o077 == 0


class TestKubernetes:
    def test_its_own_schemas(self) -> None:
        validator = pytest.importorskip("kubernetes_validate")
        for manifest in manifests().values():
            validator.validate(manifest, "1.31", strict=True)

    def test_kustomize_takes_every_file(self) -> None:
        named = yaml.safe_load((DEPLOY / "kubernetes" / "kustomization.yaml").read_text())
        assert sorted(named["resources"]) == [
            path.name for path in KUBERNETES if path.name != "kustomization.yaml"
        ]

    def test_the_cluster_is_as_large_as_its_list_of_addresses(self) -> None:
        job = manifests()["StatefulSet", "breakwater"]["spec"]
        pod = job["template"]["spec"]
        environment = {
            variable["name"]: variable.get("value")
            for container in pod["initContainers"] + pod["containers"]
            for variable in container["env"]
        }
        addresses = environment["BYTEWAX_ADDRESSES"].split(";")
        assert addresses == [
            f"breakwater-{number}.{job['serviceName']}:2101" for number in range(job["replicas"])
        ]
        assert int(environment["PROCESSES"]) == job["replicas"]
        assert int(environment["PARTITIONS"]) >= job["replicas"]

    def test_a_cluster_starts_at_once_and_never_mixes_versions(self) -> None:
        job = manifests()["StatefulSet", "breakwater"]["spec"]
        assert job["podManagementPolicy"] == "Parallel"
        assert job["updateStrategy"] == {"type": "OnDelete"}
        assert manifests()["Service", "breakwater"]["spec"]["publishNotReadyAddresses"] is True

    @pytest.mark.parametrize("kind", ["StatefulSet", "Deployment", "Job"])
    def test_containers_can_do_little_and_have_bounds(self, kind: str) -> None:
        for (found, _), manifest in manifests().items():
            if found != kind:
                continue
            pod = manifest["spec"]["template"]["spec"]
            assert pod["securityContext"]["runAsNonRoot"] is True
            assert pod["automountServiceAccountToken"] is False
            # Else BREAKWATER_CONSOLE_PORT and its kin, which look like settings, are in every pod.
            assert pod["enableServiceLinks"] is False
            for container in pod.get("initContainers", []) + pod["containers"]:
                assert container["securityContext"] == {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                }
                assert "memory" in container["resources"]["limits"]

    @pytest.mark.parametrize(
        "workload", [("StatefulSet", "breakwater"), ("Deployment", "breakwater-feedback")]
    )
    def test_the_job_is_probed(self, workload: tuple[str, str]) -> None:
        container = manifests()[workload]["spec"]["template"]["spec"]["containers"][0]
        assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
        start = container["startupProbe"]
        assert start["httpGet"]["path"] == "/startedz"
        assert start["periodSeconds"] * start["failureThreshold"] > RETRY_SECONDS

    def test_the_job_is_protected(self) -> None:
        assert ("PodDisruptionBudget", "breakwater") in manifests()

    def test_topics_are_kept_three_times(self) -> None:
        setup = manifests()["Job", "breakwater-setup"]["spec"]["template"]["spec"]
        arguments = setup["containers"][0]["args"]
        assert arguments == ["topics", "create", "--partitions", "32", "--replication", "3"]

    def test_what_is_scraped_has_the_names_that_the_rules_ask_for(self) -> None:
        rules = (DEPLOY / "prometheus" / "rules.yml").read_text()
        names = {
            manifest["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"]
            for (kind, _), manifest in manifests().items()
            if kind in {"StatefulSet", "Deployment"}
        }
        assert set(re.findall(r'job="([\w-]+)"', rules)) <= names
        [scrape] = yaml.safe_load((DEPLOY / "prometheus/kubernetes.yml").read_text())[
            "scrape_configs"
        ]
        assert {
            "source_labels": ["__meta_kubernetes_pod_label_app_kubernetes_io_name"],
            "target_label": "job",
        } in scrape["relabel_configs"]


FLOW = """
import sys, time
from pathlib import Path
import bytewax.operators as op
from bytewax.connectors.files import FileSink
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

class Numbers(StatefulSourcePartition):
    def __init__(self, resume): self.number = resume or 0
    def next_batch(self):
        if self.number >= 300: raise StopIteration
        time.sleep(0.01)  # so that the kill comes before the end
        self.number += 1
        return [self.number]
    def snapshot(self): return self.number

class Source(FixedPartitionedSource):
    def list_parts(self): return ["a", "b", "c"]
    def build_part(self, step_id, part, resume): return Numbers(resume)

flow = Dataflow("numbers")
keyed = op.key_on("key", op.input("in", flow, Source()), lambda n: str(n % 10))
sums = op.stateful_map("sum", keyed, lambda total, n: ((total or 0) + n,) * 2)
op.output("out", op.map_value("line", sums, str), FileSink(Path("out.txt")))
"""


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports


def test_a_recovery_store_that_was_cut_short_is_made_again(tmp_path: Path) -> None:
    pod = manifests()["StatefulSet", "breakwater"]["spec"]["template"]["spec"]
    script = pod["initContainers"][0]["args"][0]
    store = tmp_path / "recovery"
    variables = {"POD_NAME": "breakwater-0", "PROCESSES": "2", "PARTITIONS": "8"}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, **variables, "BREAKWATER_RECOVERY_DIR": str(store), "PATH": path}
    command = ["sh", "-euc", script.replace("cp ", f"{tmp_path}/cp ")]
    copy = tmp_path / "cp"
    copy.write_text('#!/bin/sh\ncase "$1" in *part-4*) exit 1;; esac\nexec cp "$@"\n')
    copy.chmod(0o755)
    assert subprocess.run(command, env=environment, check=False).returncode == 1
    assert not store.exists()
    for _ in range(2):
        subprocess.run(["sh", "-euc", script], env=environment, check=True)
        assert sorted(part.name for part in store.iterdir()) == [
            f"part-{number}.sqlite3" for number in (0, 2, 4, 6)
        ]


def test_a_cluster_goes_on_exactly_once_from_recovery_partitions_split_as_in_kubernetes(
    tmp_path: Path,
) -> None:
    """The init container's own script, then two processes with a directory each, one killed."""
    pod = manifests()["StatefulSet", "breakwater"]["spec"]["template"]["spec"]
    script = pod["initContainers"][0]["args"][0]
    (tmp_path / "numbers_flow.py").write_text(FLOW)
    ports = free_ports(2)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    def prepare() -> None:
        for number in range(2):
            state = {"BREAKWATER_RECOVERY_DIR": str(tmp_path / f"pod-{number}")}
            variables = {"POD_NAME": f"breakwater-{number}", "PROCESSES": "2", "PARTITIONS": "8"}
            environment = {**os.environ, **state, **variables, "PATH": path}
            subprocess.run(["sh", "-euc", script], env=environment, check=True)

    def start() -> list[subprocess.Popen[bytes]]:
        addresses = ";".join(f"127.0.0.1:{port}" for port in ports)
        command = [sys.executable, "-m", "bytewax.run", "numbers_flow:flow", "-a", addresses]
        return [
            subprocess.Popen(
                [*command, "-i", str(n), "-r", f"pod-{n}", "-s", "1", "-b", "0"],
                cwd=tmp_path,
                stderr=subprocess.DEVNULL,
            )
            for n in range(2)
        ]

    prepare()
    assert sorted(p.name for p in (tmp_path / "pod-1").iterdir()) == [
        f"part-{number}.sqlite3" for number in (1, 3, 5, 7)
    ]
    first, second = start()
    output = tmp_path / "out.txt"
    while first.poll() is None and (not output.exists() or output.stat().st_size < 2000):
        time.sleep(0.02)
    first.kill()
    first.wait()
    assert second.wait(timeout=60) != 0, "the rest of the cluster must end, to be started again"

    prepare()
    assert [process.wait(timeout=60) for process in start()] == [0, 0]
    lines = output.read_text().split()
    assert len(lines) == 900
    # The last sum of the key "0": 10 + 20 + ... + 300, from three partitions.
    assert max(map(int, lines)) == 3 * sum(range(10, 301, 10))
