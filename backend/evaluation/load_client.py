"""The service's HTTP, as Label Studio speaks it on behalf of one annotator."""

from __future__ import annotations

import time
from typing import Any

import requests

from backend.evaluation.load_tally import Tally
from backend.labelstudio.edits import Item

TIMEOUT = 100.0
"""Seconds after which Label Studio gives up (``ML_TIMEOUT_PREDICT``)."""


class LoadClient:
    """Calls ``/predict``; one thread at a time."""

    def __init__(self, url: str, label_config: str, tally: Tally) -> None:
        self._url = url
        self._label_config = label_config
        self._tally = tally
        self._session = requests.Session()
        self._session.trust_env = False

    def close(self) -> None:
        """End its connection."""
        self._session.close()

    def open(self, task: Item) -> Any:
        """The answer to opening a task; None where there is none, which is counted."""
        results = self._predict(task, None)
        return None if results is None else results[0]

    def press(self, task: Item, regions: list[Item]) -> list[Item] | None:
        """The results of a press on regions; None where there are none, which is counted."""
        started = time.perf_counter()
        results = self._predict(task, {"result": regions})
        if results is None:
            return None
        self._tally.press(time.perf_counter() - started)
        found = results[0].get("result") if isinstance(results[0], dict) else None
        if not isinstance(found, list) or not all(_has_sequence(item) for item in found):
            self._tally.fail("an answer that is no regions")
            return None
        return found

    def _predict(self, task: Item, context: Item | None) -> list[Any] | None:
        body = {
            "tasks": [task],
            "project": f"{task['project']}.1795213732",
            "label_config": self._label_config,
            "params": {"login": None, "password": None, "context": context},
        }
        try:
            reply = self._session.post(f"{self._url}/predict", json=body, timeout=TIMEOUT)
        except requests.Timeout:
            self._tally.fail(f"no answer within {TIMEOUT:.0f} s")
            return None
        except requests.RequestException as error:
            self._tally.fail(type(error).__name__)
            return None
        return self._results(reply)

    def _results(self, reply: requests.Response) -> list[Any] | None:
        try:
            body = reply.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            self._tally.fail(f"status {reply.status_code} without JSON")
            return None
        if reply.status_code != 200:
            code = body.get("error", {}).get("code", "no code")
            if code == "busy":
                self._tally.refuse()
            else:
                self._tally.fail(f"status {reply.status_code} {code}")
            return None
        results = body.get("results")
        if not isinstance(results, list) or len(results) != 1:
            self._tally.fail("an answer without a result for the task")
            return None
        return results


def _has_sequence(item: Any) -> bool:
    value = item.get("value") if isinstance(item, dict) else None
    return isinstance(value, dict) and isinstance(value.get("sequence"), list)
