"""What ships: requirements, container files, the check for fresh machines. Nothing here needs Docker."""

import ast
import importlib.metadata
import importlib.util
import ipaddress
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from backend import __main__ as entry
from backend.settings import ENV_PREFIX, Settings, load_settings
from support.http import Answer, web_server

ROOT = Path(__file__).parents[1]
REQUIREMENTS = (
    "requirements.txt",
    "requirements-demo.txt",
    "requirements-eval.txt",
    "requirements-cluster.txt",
    "requirements-dev.txt",
    "requirements-trackeval.txt",
)
# Packages whose import name is another; and parts of a required package that are imported by their own name.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "jinja2": "flask",
    "pydantic_core": "pydantic",
    "urllib3": "requests",
    "werkzeug": "flask",
}
# Each is imported only where its feature is used, and the place says how to get it.
OPTIONAL = {"label_studio", "label_studio_sdk", "label_studio_ml", "trackeval", "matplotlib", "ray"}


def read_requirements(name: str) -> list[Requirement]:
    """A file's own requirements, without those it includes."""
    lines = (line.partition("#")[0].strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("-r")]


def included(name: str) -> list[str]:
    return re.findall(r"^-r (\S+)$", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)


ALL_REQUIREMENTS = [(name, requirement) for name in REQUIREMENTS for requirement in read_requirements(name)]


def dockerfile() -> list[tuple[str, str]]:
    """The instructions, continuation lines joined."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = (line.strip() for line in text.splitlines())
    return [tuple(line.split(maxsplit=1)) for line in lines if line and not line.startswith("#")]


def instruction(name: str) -> str:
    found = [value for key, value in dockerfile() if key == name]
    assert len(found) == 1, f"{len(found)} {name} instructions"
    return found[0]


def environment_of_image() -> dict[str, str]:
    values = " ".join(value for key, value in dockerfile() if key == "ENV")
    return dict(pair.split("=", 1) for pair in shlex.split(values))


def compose(name: str = "docker-compose.yml") -> dict:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def label_studio_environment() -> dict[str, str]:
    return compose()["services"]["label-studio"]["environment"]


def test_requirements_build_on_one_another():
    assert [included(name) for name in REQUIREMENTS] == [
        [],
        ["requirements.txt"],
        ["requirements.txt"],
        ["requirements.txt"],
        ["requirements-demo.txt", "requirements-eval.txt", "requirements-cluster.txt"],
        [],
    ]
    names = [canonicalize_name(requirement.name) for _, requirement in ALL_REQUIREMENTS]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize(("name", "requirement"), ALL_REQUIREMENTS, ids=[str(r.name) for _, r in ALL_REQUIREMENTS])
def test_requirements_are_bounded(name, requirement):
    if requirement.name.startswith("types-"):
        return  # stubs carry the version of what they describe
    operators = {specifier.operator for specifier in requirement.specifier}
    assert operators in ({">=", "<"}, {"=="}), f"{name}: {requirement}"


@pytest.mark.parametrize(
    "requirement", [r for _, r in ALL_REQUIREMENTS], ids=[str(r.name) for _, r in ALL_REQUIREMENTS]
)
def test_the_versions_under_test_are_within_the_bounds(requirement):
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{requirement.name} is not installed")
    assert requirement.specifier.contains(version, prereleases=True)


def test_nothing_required_brings_a_second_opencv():
    """opencv-python and opencv-python-headless are two packages that both own the files of cv2."""
    seen: set[str] = set()
    # TrackEval asks for one, and is installed without what it asks for.
    waiting = [canonicalize_name(r.name) for name, r in ALL_REQUIREMENTS if name != "requirements-trackeval.txt"]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            required = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        parsed = (Requirement(line) for line in required)
        waiting += [canonicalize_name(r.name) for r in parsed if r.marker is None or r.marker.evaluate({"extra": ""})]
    assert "opencv-python-headless" in seen
    assert seen.isdisjoint({"opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless"})


def test_what_the_backend_imports_is_required():
    imported = set()
    for path in (ROOT / "backend").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                imported.add(node.module.partition(".")[0])
    third_party = imported - set(sys.stdlib_module_names) - {"backend"} - OPTIONAL
    needed = {canonicalize_name(DISTRIBUTIONS.get(name, name)) for name in third_party}
    declared = {canonicalize_name(requirement.name) for requirement in read_requirements("requirements.txt")}
    assert needed <= declared


def test_project_metadata_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    supported = SpecifierSet(project["project"]["requires-python"])
    assert all(supported.contains(version) for version in ("3.11", "3.12"))
    image = instruction("FROM").removeprefix("python:").removesuffix("-slim")
    assert supported.contains(image)
    assert project["tool"]["setuptools"]["dynamic"]["dependencies"]["file"] == ["requirements.txt"]
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert project["project"]["license"] == "Apache-2.0"


def ignored_by_docker(path: str) -> bool:
    ignored = False
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            pattern = line.removeprefix("!")
            if fnmatch(path, pattern) or path.startswith(pattern + "/"):
                ignored = not line.startswith("!")
    return ignored


def test_what_the_image_copies_is_there_and_not_ignored():
    sources = [word for key, value in dockerfile() if key == "COPY" for word in value.split()[:-1]]
    assert "requirements.txt" in sources
    assert "backend" in sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert not ignored_by_docker(source), source


@pytest.mark.parametrize("path", [".git", ".venv", "weights", "data", "tests", "docker-compose.yml"])
def test_the_image_is_not_built_from_everything(path):
    assert ignored_by_docker(path)


def test_the_image_starts_the_backend_for_the_network():
    command = json.loads(instruction("CMD"))
    assert command[:3] == ["python", "-m", "backend"]
    parsed = entry.make_parser(command[3:]).parse_args(command[3:])
    assert parsed.host == "0.0.0.0"


def test_the_image_does_not_run_as_root():
    steps = [key for key, _ in dockerfile()]
    assert instruction("USER") not in ("root", "0")
    assert "RUN" not in steps[steps.index("USER") :]


def test_the_image_keeps_data_and_weights_in_volumes():
    environment = environment_of_image()
    volumes = json.loads(instruction("VOLUME"))
    assert volumes == [environment["KEYTRACK_DATA_DIR"], environment["KEYTRACK_WEIGHTS_DIR"]]
    made = next(value for key, value in dockerfile() if key == "RUN" and "useradd" in value)
    assert all(f" {volume}" in made.partition("chown")[2] for volume in volumes)
    assert instruction("EXPOSE") == environment["KEYTRACK_PORT"]


@pytest.mark.parametrize(("answer", "healthy"), [(Answer(200, b"{}"), True), (Answer(500), False), (None, False)])
def test_the_health_check_asks_for_health(answer, healthy):
    options, _, command = instruction("HEALTHCHECK").partition("CMD ")
    assert "--interval" in options
    arguments = json.loads(command)
    assert arguments[:2] == ["python", "-c"]
    with web_server({"/health": answer} if answer else {}) as site:
        environment = os.environ | {"KEYTRACK_PORT": site.url.rpartition(":")[2]}
        done = subprocess.run([sys.executable, *arguments[1:]], env=environment, capture_output=True, check=False)
        assert [asked.path for asked in site.asked] == ["/health"]
    assert (done.returncode == 0) is healthy


def test_container_settings_exist(monkeypatch):
    services = [compose()["services"]["backend"], compose("docker-compose.gpu.yml")["services"]["backend"]]
    given = environment_of_image()
    for service in services:
        given |= service["environment"]
    names = {name for name in given if name.startswith(ENV_PREFIX)}
    assert names <= {ENV_PREFIX + field.upper() for field in Settings.model_fields}
    for name in names:
        plain = re.sub(r"\$\{\w+(?::-([^}]*)|[^}]*)\}", r"\1", given[name])
        monkeypatch.setenv(name, plain or "x" * 40)
    assert load_settings().label_studio_url == "http://label-studio:8080"


def test_compose_fits_together():
    services = compose()["services"]
    used = [volume.partition(":")[0] for service in services.values() for volume in service["volumes"]]
    assert sorted(used) == sorted(compose()["volumes"])
    assert sorted(environment_of_image()[name] for name in ("KEYTRACK_DATA_DIR", "KEYTRACK_WEIGHTS_DIR")) == sorted(
        volume.partition(":")[2] for volume in services["backend"]["volumes"]
    )
    assert set(compose("docker-compose.gpu.yml")["services"]) <= set(services)
    assert label_studio_environment()["LABEL_STUDIO_USER_TOKEN"].startswith("${LABEL_STUDIO_TOKEN:?")
    assert services["backend"]["environment"]["KEYTRACK_LABEL_STUDIO_TOKEN"].startswith("${LABEL_STUDIO_TOKEN:?")


def test_compose_has_the_label_studio_that_is_tested():
    version = compose()["services"]["label-studio"]["image"].rpartition(":")[2]
    required = {r.name: r for r in read_requirements("requirements-demo.txt")}["label-studio"]
    assert required.specifier == SpecifierSet(f"=={version}")


def test_compose_lets_label_studio_wait_longer_than_a_press_takes():
    longest = max(bound.lt for bound in Settings.model_fields["budget_seconds"].metadata if hasattr(bound, "lt"))
    assert float(label_studio_environment()["ML_TIMEOUT_PREDICT"]) > longest


def test_label_studio_knows_the_variables_that_compose_sets():
    found = importlib.util.find_spec("label_studio")
    if found is None or found.origin is None:
        pytest.skip("Label Studio is not installed")
    package = Path(found.origin).parent
    places = ("server.py", "core/settings/base.py", "ml/api_connector.py")
    source = "".join((package / place).read_text(encoding="utf-8") for place in places)
    for name in label_studio_environment():
        assert f"'{name}'" in source or f"'{name.removeprefix('LABEL_STUDIO_')}'" in source, name


@pytest.mark.parametrize(
    ("address", "reachable"),
    [
        ("172.18.0.3", True),
        ("192.168.16.2", True),
        ("169.254.169.254", False),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
    ],
)
def test_label_studio_may_reach_dockers_networks_and_no_metadata(address, reachable):
    """As Label Studio checks it: a comma-separated list of networks, none of which may hold the address."""
    environment = label_studio_environment()
    assert environment["USE_DEFAULT_BANNED_SUBNETS"] == "false"
    banned = [ipaddress.ip_network(subnet) for subnet in environment["USER_ADDITIONAL_BANNED_SUBNETS"].split(",")]
    assert any(ipaddress.ip_address(address) in subnet for subnet in banned) is not reachable


def readme_command(name: str, *readme: str) -> subprocess.CompletedProcess[str]:
    command = [str(ROOT / ".ci" / "readme-command"), name, *readme]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_command_is_taken_out_of_the_readme(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(
        "# Title\n<!-- command: demo -->\n```sh\nfirst\n```\nText.\n"
        "<!-- command: tests -->\n\n```sh\nsecond && \\\n  third\n```\n```sh\nfourth\n```\n"
    )
    assert readme_command("demo", str(readme)).stdout == "first\n"
    assert readme_command("tests", str(readme)).stdout == "second && \\\n  third\n"
    missing = readme_command("other", str(readme))
    assert missing.returncode == 1
    assert 'no command marked "<!-- command: other -->"' in missing.stderr


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("demo", ["pip install -r requirements-demo.txt", "python -m backend demo"]),
        (
            "tests",
            [
                "pip install -r requirements-dev.txt",
                "pip install --no-deps -r requirements-trackeval.txt",
                "python -m pytest",
            ],
        ),
    ],
)
def test_the_readmes_commands_set_up_and_run(name, own):
    command = " ".join(readme_command(name).stdout.split())
    assert command.split(" && ") == ["python3 -m venv .venv", ". .venv/bin/activate", *own]


@pytest.mark.parametrize("script", ["run", "readme-command"])
def test_check_scripts_are_sound(script):
    path = ROOT / ".ci" / script
    assert os.access(path, os.X_OK)
    assert "set -euo pipefail" in path.read_text(encoding="utf-8")
    subprocess.run(["bash", "-n", str(path)], check=True)
