"""A delivery whose clock is set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from backend.labelstudio.client import LabelStudioClient
from backend.prelabel.delivery import Delivery
from backend.service.jobs import Jobs
from backend.service.parcels import Parcel, Terms
from backend.service.store import Store
from support.fake_studio import TOKEN, FakeStudio
from support.service import keyframe, region
from support.video_client import eventually

CAR = region("car", keyframe(3, 40, 30, 32, 24))
VERSION = "keytrack-1-lite"


class Post:
    """A store, a queue, and a delivery whose clock is set; ``url`` is where Label Studio is, ``patience`` for how many
    seconds it is waited for."""

    def __init__(self, path: Path, fake: FakeStudio, token: str = TOKEN) -> None:
        self.now = 0.0
        self.url = fake.url
        self.patience = 60.0
        self.alarms: list[tuple[float, Callable[[], None]]] = []
        self.store = Store(path)
        self.jobs = Jobs()
        self.delivery = Delivery(
            self.store.parcels,
            self.jobs,
            lambda project: LabelStudioClient(self.url, token, timeout=self.patience) if token else None,
            clock=lambda: self.now,
            alarm=lambda seconds, ring: self.alarms.append((self.now + seconds, ring)),
        )

    def send(self, number: int, terms: Terms = "first") -> None:
        self.delivery.send(Parcel("1", str(number), VERSION, 0.5, [{**CAR, "id": f"car-{number}"}], terms))

    def settle(self) -> None:
        eventually(lambda: len(self.jobs) == 0)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        due = [one for one in self.alarms if one[0] <= self.now]
        self.alarms = [one for one in self.alarms if one[0] > self.now]
        for _, ring in due:
            ring()
        self.settle()

    def left(self) -> list[tuple[str, str]]:
        return self.store.parcels.addresses()

    def close(self) -> None:
        self.jobs.close()
        self.store.close()
