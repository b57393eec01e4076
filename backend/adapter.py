"""Keytrack inside label-studio-ml, for those who run that server: ``init_app(KeytrackAdapter)``.

Both lines of the package are served: 1.0.9, the newest on PyPI, and the 2.x of its repository. Their environment
has older packages than this backend's own server needs; what is imported here works with either.

With 1.0.9 one server is for one project: it answers all calls with the labeling configuration of the last ``/setup``.
"""

from __future__ import annotations

import atexit
import threading
from typing import Any

from label_studio_ml.model import LabelStudioMLBase

from backend.model import Entry, Keytrack
from backend.service.payloads import parse_tasks, project_of
from backend.settings import load_settings

_lock = threading.Lock()
_shared: Keytrack | None = None


def use(keytrack: Keytrack | None) -> None:
    """Serve with ``keytrack`` instead of one made from the environment's settings."""
    global _shared
    with _lock:
        _shared = keytrack


def shared() -> Keytrack:
    """The process's one Keytrack: label-studio-ml makes a new model for each project, or even for each request.

    Raises:
        SettingsError: a setting in the environment cannot be used.
    """
    global _shared
    with _lock:
        if _shared is None:
            from backend.service.engine import choose, tracker_factory  # torch

            settings = load_settings()
            choice = choose(settings)
            _shared = Keytrack(settings, tracker_factory(settings, choice), choice)
            atexit.register(_shared.close)
        return _shared


class KeytrackAdapter(LabelStudioMLBase):  # type: ignore[misc]  # the package has no types
    """A label-studio-ml model that hands all calls on."""

    def setup(self) -> None:
        """2.x calls this from its constructor, to ask for the version."""
        self.set("model_version", shared().model_version)

    def predict(self, tasks: list[dict[str, Any]], context: Any = None, **kwargs: Any) -> list[Entry]:
        """A prediction for each task, see :meth:`backend.model.Keytrack.predict`."""
        keytrack = shared()
        project = getattr(self, "project_id", None) or None  # 1.0.9 does not tell
        hostname = getattr(self, "hostname", "")  # nor does 2.x tell this: its users set KEYTRACK_LABEL_STUDIO_URL
        if hostname:
            for task_project in {project_of(project, task) for task in parse_tasks(tasks)}:
                keytrack.remember(task_project, hostname, getattr(self, "access_token", ""))
        return keytrack.predict(tasks, context, project=project, label_config=self.label_config)

    def fit(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Nothing is learned from annotations; 1.0.9 calls this in a process of its own, and keeps the result."""
        return {}
