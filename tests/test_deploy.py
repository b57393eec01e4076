"""The files for clusters: as far as they can be checked without one, and with what they were written for."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from backend import __main__ as entry
from backend import __version__
from backend.settings import ENV_PREFIX, Settings

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
RAY_UP = ("ray-aws.yaml", "ray-on-premise.yaml")
KUBERNETES = ("prelabel.yaml", "serve.yaml", "storage.yaml")
COMPOSE = "docker-compose.ray.yml"
IMAGE = "keytrack-ray"
KINDS = {
    "RayJob": "ray.io/v1",
    "RayCluster": "ray.io/v1",
    "Deployment": "apps/v1",
    "Service": "v1",
    "PersistentVolumeClaim": "v1",
    "NetworkPolicy": "networking.k8s.io/v1",
}


def text(name: str) -> str:
    return (DEPLOY / name).read_text("utf-8")


def objects(name: str) -> list[dict[str, Any]]:
    """The Kubernetes objects of a file."""
    return list(yaml.safe_load_all(text(f"kubernetes/{name}")))


def clusters() -> Iterator[dict[str, Any]]:
    """The Ray clusters of all files."""
    for one in (*objects("prelabel.yaml"), *objects("serve.yaml")):
        if one["kind"] in ("RayJob", "RayCluster"):
            yield one["spec"].get("rayClusterSpec", one["spec"])


def pods() -> Iterator[dict[str, Any]]:
    """The pods that come of all files, as templates."""
    for cluster in clusters():
        yield cluster["headGroupSpec"]["template"]
        yield from (group["template"] for group in cluster["workerGroupSpecs"])
    yield from (one["spec"]["template"] for one in objects("serve.yaml") if one["kind"] == "Deployment")


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]


def dockerfile(instruction: str) -> str:
    found = re.findall(rf"^{instruction} (.*)$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert len(found) == 1
    return found[0]


def values(part: Any) -> Iterator[str]:
    """All texts of a file's contents; a list of words is a text."""
    if isinstance(part, str):
        yield part
    elif isinstance(part, list) and all(isinstance(one, str) for one in part):
        yield from ([shlex.join(part)] if part[:1] == ["python"] else part)
    elif isinstance(part, dict | list):
        for one in part.values() if isinstance(part, dict) else part:
            yield from values(one)


def commands() -> list[tuple[str, list[str]]]:
    """The arguments of every ``python -m backend`` in the files, in their comments too."""
    found = []
    for path in sorted(DEPLOY.rglob("*.yaml")) + sorted(DEPLOY.rglob("*.yml")):
        whole = re.sub(r" \\\n#? *", " ", path.read_text("utf-8"))
        said = [*re.findall(r"^# (.*)$", whole, re.MULTILINE), *values(list(yaml.safe_load_all(whole)))]
        for line in said:
            for ours in re.findall(r"python -m backend ([^;&]+)", line):
                found.append((path.name, shlex.split(ours)))
    return found


@pytest.mark.parametrize(("file", "arguments"), commands(), ids=lambda value: value if isinstance(value, str) else "")
def test_commands_are_ours(file, arguments):
    parsed = entry.make_parser(arguments).parse_args(arguments)
    assert parsed.run.__module__ == f"backend.cli.{arguments[0]}"


def test_every_file_has_a_command():
    assert {file for file, _ in commands()} == {*RAY_UP, COMPOSE, "prelabel.yaml", "serve.yaml"}
    assert {arguments[0] for _, arguments in commands()} == {"prelabel", "serve", "weights"}


@pytest.mark.parametrize("name", RAY_UP)
def test_ray_takes_its_cluster_files(name):
    """As ``ray up`` does before it starts anything."""
    pytest.importorskip("ray", reason="requirements-cluster.txt")
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = prepare_config(yaml.safe_load(text(name)))
    config.setdefault("cluster_synced_files", [])
    validate_config(config)
    kinds = config["available_node_types"].values()
    assert sum(kind["max_workers"] for kind in kinds) == config["max_workers"] > 0


@pytest.mark.parametrize("name", RAY_UP)
def test_machines_start_ray_for_those_with_the_token(name):
    config = yaml.safe_load(text(name))
    assert config["file_mounts"]["~/keytrack"] == "."
    assert "~/.ray/auth_token" in config["file_mounts"]
    for where in ("head_start_ray_commands", "worker_start_ray_commands"):
        stop, start = config[where]
        assert stop.endswith("ray stop")
        assert start.index("export RAY_AUTH_MODE=token;") < start.index("ray start --")
    assert "--autoscaling-config=~/ray_bootstrap_config.yaml" in config["head_start_ray_commands"][1]
    assert "--address=$RAY_HEAD_IP:6379" in config["worker_start_ray_commands"][1]
    installed = " ".join(config["setup_commands"])
    assert "requirements-cluster.txt" in installed and (ROOT / "requirements-cluster.txt").exists()


@pytest.mark.parametrize("name", KUBERNETES)
def test_objects_have_a_kind_and_a_name(name):
    for one in objects(name):
        assert one["apiVersion"] == KINDS[one["kind"]]
        known = one["metadata"].get("name") or one["metadata"]["generateName"].rstrip("-")
        assert re.fullmatch(r"[a-z]([-a-z0-9]{0,50}[a-z0-9])?", known)
        assert one["spec"]


def test_images_are_one():
    named = {container["image"] for pod in pods() for container in containers(pod)}
    assert named == {f"registry.example.org/{IMAGE}:{__version__}"}
    built = f"docker build --build-arg REQUIREMENTS=requirements-cluster.txt -t {named.pop()} ."
    assert built in text("kubernetes/prelabel.yaml")
    backend = yaml.safe_load(text(COMPOSE))["services"]["backend"]
    assert backend["image"] == IMAGE
    assert backend["build"]["args"] == {"REQUIREMENTS": "requirements-cluster.txt"}
    argument = dockerfile("ARG")
    assert argument == "REQUIREMENTS=requirements.txt"
    assert "${REQUIREMENTS}" in dockerfile("RUN pip install")
    assert "requirements-cluster.txt" in dockerfile("COPY requirements.txt")


def test_compose_is_laid_over_what_there_is():
    below = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]
    assert set(yaml.safe_load(text(COMPOSE))["services"]) <= set(below)
    assert f"-f deploy/{COMPOSE}" in text(COMPOSE)


def test_rays_version_is_one_that_is_required():
    lines = (ROOT / "requirements-cluster.txt").read_text("utf-8").splitlines()
    required = next(Requirement(line.partition("#")[0]) for line in lines if line.startswith("ray"))
    assert all(required.specifier.contains(cluster["rayVersion"]) for cluster in clusters())


def test_pods_run_without_rights():
    for pod in pods():
        spec = pod["spec"]
        user = int(re.search(r"--uid (\d+)", (ROOT / "Dockerfile").read_text("utf-8"))[1])
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] == spec["securityContext"]["fsGroup"] == user
        assert spec["automountServiceAccountToken"] is False
        for container in containers(pod):
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_kubernetes_sets_no_variable_of_ours():
    """It would set KEYTRACK_PORT to the address of a service that is called keytrack."""
    assert all(pod["spec"]["enableServiceLinks"] is False for pod in pods())


def test_secrets_come_from_secrets_and_stand_in_no_argument():
    fields = {ENV_PREFIX + name.upper(): field for name, field in Settings.model_fields.items()}
    secret = {name for name, field in fields.items() if "SecretStr" in str(field.annotation)} | {"RAY_AUTH_TOKEN"}
    seen = set()
    for pod in pods():
        for container in containers(pod):
            for one in container.get("env", ()):
                name = one["name"]
                assert name in fields or name.startswith("RAY_")
                assert "value" not in one or name not in secret
                seen.add(name)
            words = " ".join([*container.get("command", ()), *container.get("args", ())])
            assert not any(option in words for option in ("token", "password", "secret"))
    assert {"KEYTRACK_LABEL_STUDIO_TOKEN", "KEYTRACK_PASSWORD", "KEYTRACK_WEBHOOK_SECRET", "RAY_AUTH_TOKEN"} <= seen
    assert all(cluster["authOptions"] == {"mode": "token"} for cluster in clusters())


def test_what_is_mounted_is_there():
    claims = {one["metadata"]["name"] for one in objects("storage.yaml")}
    for pod in pods():
        volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", ())}
        mounted = [mount for container in containers(pod) for mount in container.get("volumeMounts", ())]
        assert {mount["name"] for mount in mounted} == set(volumes)
        kept = {
            volume["persistentVolumeClaim"]["claimName"]
            for volume in volumes.values()
            if len(volume) > 1 and "persistentVolumeClaim" in volume
        }
        assert kept <= claims
        places = set(json.loads(dockerfile("VOLUME"))) | {"/dev/shm"}
        assert {mount["mountPath"] for mount in mounted} <= places


@pytest.mark.parametrize("name", ["prelabel.yaml", "serve.yaml"])
def test_pods_have_what_the_workers_take(name):
    """All commands of a file may run at once."""
    spec = objects(name)[0]["spec"]
    (group,) = spec.get("rayClusterSpec", spec)["workerGroupSpecs"]
    limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
    asked = [arguments for file, arguments in commands() if file == name and "--workers" in arguments]
    parsed = [entry.make_parser(arguments).parse_args(arguments) for arguments in asked]
    assert parsed
    assert sum(one.workers * one.gpus_per_worker for one in parsed) == group["replicas"] * limits["nvidia.com/gpu"]
    threads = sum(one.workers * int(getattr(one, "threads", 1)) for one in parsed)
    assert threads <= group["replicas"] * int(limits["cpu"])
    assert group["minReplicas"] == group["replicas"] == group["maxReplicas"]


def test_the_service_is_asked_for_its_health_as_the_image_says():
    (deployment,) = [one for one in objects("serve.yaml") if one["kind"] == "Deployment"]
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    image = re.search(r"CMD (\[\"python\", \"-c\".*\])$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["exec"]["command"] == json.loads(image[1])
        assert container[probe]["timeoutSeconds"] > 4  # the image's own patience
    for pod in pods():
        for one in pod["spec"]["containers"]:
            assert {"readinessProbe", "livenessProbe"} <= set(one)


def test_the_service_is_reached():
    by_kind = {one["kind"]: one for one in objects("serve.yaml")}
    pod = by_kind["Deployment"]["spec"]["template"]
    service, policy = by_kind["Service"]["spec"], by_kind["NetworkPolicy"]["spec"]
    assert by_kind["Deployment"]["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert service["selector"].items() <= pod["metadata"]["labels"].items()
    (port,) = pod["spec"]["containers"][0]["ports"]
    assert service["ports"][0]["targetPort"] == port["name"]
    assert str(port["containerPort"]) in (ROOT / "Dockerfile").read_text("utf-8")
    assert {"port": port["containerPort"]} in [one for rule in policy["ingress"] for one in rule.get("ports", ())]
    # All of them are reached by one another, and by nobody else.
    chosen = policy["podSelector"]["matchLabels"].items()
    cluster = by_kind["RayCluster"]["spec"]
    for template in (pod, cluster["headGroupSpec"]["template"], cluster["workerGroupSpecs"][0]["template"]):
        assert chosen <= template["metadata"]["labels"].items()
    assert policy["ingress"][0]["from"] == [{"podSelector": {"matchLabels": dict(chosen)}}]


def test_the_service_finds_the_cluster_and_its_token():
    """KubeRay calls the head's service and the token's secret after the cluster."""
    by_kind = {one["kind"]: one for one in objects("serve.yaml")}
    cluster = by_kind["RayCluster"]["metadata"]["name"]
    for container in containers(by_kind["Deployment"]["spec"]["template"]):
        environment = {one["name"]: one for one in container["env"]}
        assert environment["RAY_ADDRESS"]["value"] == f"{cluster}-head-svc:6379"
        assert environment["RAY_AUTH_TOKEN"]["valueFrom"]["secretKeyRef"] == {"name": cluster, "key": "auth_token"}
