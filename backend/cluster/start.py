"""Getting at a Ray cluster, or starting one on this machine."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import backend
from backend.errors import ClusterError, SettingsError
from backend.settings import ray_address, ray_alone, ray_quiet

logger = logging.getLogger(__name__)

AUTO = "auto"
# Of a cluster that is started here: what passes through its object store is small, see pool.py.
_STORE_BYTES = 512 << 20


@dataclass(frozen=True)
class Connection:
    """A cluster that this process is connected to.

    Attributes:
        address: host and port.
        dashboard: the address of Ray's own dashboard; "" where it does not run.
        started: it was started here, and ends with the connection.
    """

    address: str
    dashboard: str
    started: bool

    def __str__(self) -> str:
        what = "a Ray cluster of this machine's own" if self.started else f"the Ray cluster at {self.address}"
        return what + (f", dashboard at {self.dashboard}" if self.dashboard else "")


@contextmanager
def connected(address: str = AUTO, *, processors: int | None = None, dashboard: bool = True) -> Iterator[Connection]:
    """Be connected to a cluster; what was started here is ended, and nothing else.

    Its workers run the very code of this process, wherever they are; what that requires is to be installed there.

    Args:
        address: host and port of the cluster's head; ``auto``: what RAY_ADDRESS names, else a cluster that is started
            here and can be reached by this machine alone.
        processors: that a cluster which is started here has; by default those of the machine.
        dashboard: whether a cluster that is started here has one.

    Raises:
        SettingsError: Ray is not installed, or the address is none.
        ClusterError: the cluster cannot be reached, or none can be started.
    """
    named = ray_address() if address == AUTO else address
    if named is not None and named.startswith("ray://"):
        raise SettingsError(
            f"--ray {named}: give the address of the head itself, such as {named[6:].partition(':')[0]}:6379, and run "
            "this on one of the cluster's machines"
        )
    ray_quiet()
    if named is None:
        ray_alone()
    try:
        import ray
    except ImportError as error:
        raise SettingsError(f"--ray takes Ray ({error}): pip install -r requirements-cluster.txt") from error
    # Ray has the modules of this process's own directories only on this machine.
    code = {"py_modules": [str(Path(backend.__file__).parent)], "excludes": ["**/__pycache__", "**/*.pyc"]}
    quietly = {"logging_level": logging.ERROR, "log_to_driver": False, "configure_logging": False}
    try:
        if named is None:
            found = ray.init(
                address="local",
                num_cpus=processors,
                include_dashboard=dashboard,
                dashboard_host="127.0.0.1",
                object_store_memory=_STORE_BYTES,
                runtime_env=code,
                **quietly,
            )
        else:
            found = ray.init(address=named, runtime_env=code, **quietly)
    except Exception as error:  # of this very class where a machine is too busy to start it in time
        what = (
            "no Ray cluster can be started here" if named is None else f"the Ray cluster at {named} cannot be reached"
        )
        raise ClusterError(f"{what}: {error}") from error
    try:
        page = found.dashboard_url
        yield Connection(found.address_info["address"], f"http://{page}" if page else "", named is None)
    finally:
        ray.shutdown()
