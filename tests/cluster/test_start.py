"""Getting at Ray. What is started is started in a process of its own, as a command does."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from backend.cluster.start import connected
from backend.errors import SettingsError

SCRIPT = """
import logging, sys
from backend.cluster.start import connected
from backend.errors import KeytrackError
try:
    with connected(*sys.argv[1:], processors=1, dashboard=False) as cluster:
        import ray
        path = ray.remote(lambda: sys.path)
        print(cluster.started, cluster.address, ray.get(path.remote()))
except KeytrackError as error:
    print(type(error).__name__, error)
"""


def started(*args: str, **environment: str) -> list[str]:
    found = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *args], env=found | environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split(maxsplit=2)


def test_one_of_this_machines_own_has_our_code_and_is_reached_by_it_alone():
    own, address, path = started()
    assert own == "True" and address.startswith("127.0.0.1:")
    assert "_ray_pkg_" in path


def test_a_token_that_is_not_there_is_asked_for(tmp_path):
    what, reason = started("127.0.0.1:1", RAY_AUTH_MODE="token", HOME=str(tmp_path))[::2]
    assert what == "ClusterError" and "no authentication token was found" in reason


def test_a_clients_address_is_refused():
    with pytest.raises(SettingsError, match="such as head:6379"), connected("ray://head:10001"):
        pass


def test_without_ray(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SettingsError, match=r"pip install -r requirements-cluster\.txt"), connected():
        pass
