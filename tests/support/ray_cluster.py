"""A Ray cluster of several nodes on this machine, and workers whose models are made up.

``python -m support.ray_cluster ADDRESS URL DIRECTORY`` is a driver in a process of its own.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from backend.cluster.start import connected
from backend.labelstudio.client import LabelStudioClient
from backend.labelstudio.config import parse_config
from backend.prelabel.doing import Doer
from backend.prelabel.jobs import Manner
from backend.prelabel.project import ProjectTasks, Wish
from backend.prelabel.run import Outcome, run
from backend.prelabel.workers import InProcess
from backend.service.store import DATABASE, Store
from support.fake_studio import TOKEN
from support.fake_tracker import FakeTracker

# Ray's least.
_STORE_BYTES = 80 << 20


@dataclass(frozen=True)
class MakeFake:
    """Makes what does jobs with a :class:`FakeTracker`. It is told by files of a directory what is to happen: while
    there is ``wait-N`` the task N is held after two frames, and where there is ``kill-N`` its worker kills itself."""

    media: Path
    signs: Path

    def __call__(self, name: str, token: SecretStr | None) -> Doer:
        if token is not None:
            (self.signs / f"token-{token.get_secret_value()}").touch()
        return Doer(lambda: _Signed(self.signs), self._fetch, name)

    def _fetch(self, video: str) -> Path:
        return self.media / video


class _Signed(FakeTracker):
    def __init__(self, signs: Path) -> None:
        super().__init__()
        self._signs = signs

    def _observe(self, call: Any, name: str, frame: int, video: Any) -> Any:
        (number,) = {int(one.label) for found in call.detections.values() for one in found if one.label}
        if frame == 2:
            (self._signs / f"begun-{number}-{os.getpid()}").touch()
            while (self._signs / f"wait-{number}").exists():
                time.sleep(0.02)
            if (self._signs / f"kill-{number}").exists():
                os.kill(os.getpid(), signal.SIGKILL)
        return super()._observe(call, name, frame, video)


class Silent:
    """A progress that nobody looks at; ``rested`` has what was told of workers that do nothing."""

    def __init__(self) -> None:
        self.rested: list[tuple[int, str]] = []

    def work(self, worker: int, name: str, done: int, steps: int) -> None:
        pass

    def rest(self, worker: int, why: str) -> None:
        self.rested.append((worker, why))

    def say(self, line: str) -> None:
        pass

    def done(self, name: str, *, tracked: bool) -> None:
        pass


def drive(address: str | None, url: str, config: str, directory: Path, *, progress: Silent | None = None) -> Outcome:
    """Prelabel the project of a fake Label Studio as the command does, on two workers of a cluster, or in this process.

    Args:
        address: the cluster's; None: this process.
        url: Label Studio's.
        config: its labeling configuration.
        directory: has ``media`` and ``signs``, and comes to have the store.
    """
    from backend.cluster.pool import Share, ray_workers

    progress = progress or Silent()
    client, store = LabelStudioClient(url, TOKEN), Store(directory / DATABASE)
    make = MakeFake(directory / "media", directory / "signs")
    tasks = ProjectTasks(client, 1, parse_config(config), store=store, manner=Manner("keytrack-1", 0.95), wish=Wish())
    outcome = Outcome(rest=len(tasks.find()))
    try:
        if address is None:
            run(tasks, InProcess(make("here", None)), progress, outcome)
        else:
            with (
                connected(address),
                ray_workers(make, 2, Share(), token=SecretStr(TOKEN), rest=progress.rest) as workers,
            ):
                run(tasks, workers, progress, outcome)
    finally:
        store.close()
        client.close()
    return outcome


@contextmanager
def ray_cluster(nodes: int) -> Iterator[Any]:
    """A cluster with a head that does nothing and so many nodes of one processor each, each in processes of its own."""
    from ray.cluster_utils import Cluster

    # Workers have this from their node: what a driver sends along is the backend alone.
    os.environ["PYTHONPATH"] = os.pathsep.join(str(Path(__file__).parents[depth]) for depth in (1, 2))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": _STORE_BYTES})
    try:
        for _ in range(nodes):
            cluster.add_node(num_cpus=1, object_store_memory=_STORE_BYTES)
        yield cluster
    finally:
        del os.environ["PYTHONPATH"]
        cluster.shutdown()


if __name__ == "__main__":
    from support.service import CONFIG

    print(drive(sys.argv[1], sys.argv[2], CONFIG, Path(sys.argv[3])))
