"""Tasks that wait for their turn in the background, in as little memory as can be."""

from __future__ import annotations

import math
import pickle
import zlib
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from backend.labelstudio.config import VideoConfig
from backend.prelabel.plan import Plan
from backend.service.interactive import Footage


@dataclass(frozen=True, eq=False)
class Order:
    """A task that is to be tracked.

    Attributes:
        packed: its plan; the boxes of a detector on every frame are megabytes, and a tenth of that packed.
        fingerprint: tells the same task by the same plan again.
        failures: how often it was tried in vain.
    """

    project: str
    task: str
    packed: bytes
    fingerprint: str
    config: VideoConfig
    footage: Footage
    failures: int = 0

    @property
    def key(self) -> Hashable:
        """By which the queue knows it."""
        return key_of(self.project, self.task)

    def __str__(self) -> str:
        return f"task {self.task} of project {self.project}"


def key_of(project: str, task: str) -> Hashable:
    """By which the queue knows a task."""
    return ("prelabel", project, task)


def pack(plan: Plan) -> bytes:
    """A plan in little memory."""
    return zlib.compress(pickle.dumps(plan), level=1)


def unpack(packed: bytes) -> Plan:
    """The plan that :func:`pack` packed, in this process."""
    plan: Plan = pickle.loads(zlib.decompress(packed))  # noqa: S301 - it never leaves this process
    return plan


class Waiting:
    """Orders, each with the time from which on it is its turn, in the order in which they came. Not for several threads
    at once.

    Args:
        most: so many orders at most.
        most_bytes: so many bytes of packed plans at most.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._orders: OrderedDict[Hashable, tuple[float, Order]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._orders)

    def add(self, order: Order, due: float) -> bool:
        """Put an order at the end, in place of one of the same task; False, and nothing done, without room for it."""
        old = self._orders.get(order.key)
        size = self._bytes + len(order.packed) - (len(old[1].packed) if old is not None else 0)
        if (old is None and len(self) >= self._most) or size > self._most_bytes:
            return False
        self._orders.pop(order.key, None)
        self._orders[order.key] = due, order
        self._bytes = size
        return True

    def drop(self, key: Hashable) -> None:
        """Take a task's order away, if there is one."""
        found = self._orders.pop(key, None)
        if found is not None:
            self._bytes -= len(found[1].packed)

    def get(self, key: Hashable) -> tuple[float, Order] | None:
        """When the turn of a task is, and its order."""
        return self._orders.get(key)

    def hold(self, key: Hashable) -> None:
        """Let a task's order have no turn, until there is another in its place."""
        self._orders[key] = math.inf, self._orders[key][1]

    def held(self, project: str) -> list[Order]:
        """Those of a project's orders that have no turn."""
        return [order for due, order in self._orders.values() if order.project == project and due == math.inf]

    def of(self, project: str) -> list[Order]:
        """A project's orders."""
        return [order for _, order in self._orders.values() if order.project == project]

    def take(self, now: float) -> Order | None:
        """Take the first order whose turn it is."""
        key = next((key for key, (due, _) in self._orders.items() if due <= now), None)
        if key is None:
            return None
        _, order = self._orders.pop(key)
        self._bytes -= len(order.packed)
        return order

    def next_due(self) -> float | None:
        """When the next turn is; None where nobody waits for one."""
        return min((due for due, _ in self._orders.values() if due < math.inf), default=None)

    def clear(self) -> None:
        """Send everybody away."""
        self._orders.clear()
        self._bytes = 0
