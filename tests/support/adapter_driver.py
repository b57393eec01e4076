"""Runs inside label-studio-ml 1.0.9's environment: its own server, our adapter, a fake tracker.

Usage: python -m support.adapter_driver DIRECTORY < requests.json > replies.json
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any


def main(directory: Path) -> None:
    """Send the requests on the standard input, one after the other, and write what was answered."""
    from label_studio_ml.api import init_app

    from backend import adapter
    from backend.model import Keytrack
    from backend.settings import load_settings
    from support.choices import LITE
    from support.fake_tracker import FakeTracker

    settings = load_settings(data_dir=directory / "data", media_root=directory / "media", budget_seconds=30)
    keytrack = Keytrack(settings, FakeTracker, LITE)
    adapter.use(keytrack)
    client = init_app(model_class=adapter.KeytrackAdapter, model_dir=str(directory / "models")).test_client()
    replies: list[dict[str, Any]] = []
    for path, body in json.load(sys.stdin):
        reply = client.get(path) if body is None else client.post(path, json=body)
        replies.append({"status": reply.status_code, "body": reply.get_json()})
    project = keytrack._store.project("1")
    known = None if project is None else [project.hostname, project.token]
    keytrack.close()
    forbidden = sorted({"torch", "waitress"} & set(sys.modules))
    json.dump(
        {"replies": replies, "project": known, "forbidden": forbidden, "jobs": _jobs(directory / "models")}, sys.stdout
    )


def _jobs(models: Path) -> list[Any]:
    """What the package's training jobs, each in a process of its own, left behind."""
    limit = time.monotonic() + 30
    while time.monotonic() < limit:
        found = list(models.glob("**/job_result.json"))
        if found:
            return [json.loads(path.read_text()) for path in found]
        time.sleep(0.1)
    return []


if __name__ == "__main__":
    main(Path(sys.argv[1]))
