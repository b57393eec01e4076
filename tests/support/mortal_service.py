"""``python -m support.mortal_service LOG serve ...``: the service with a tracker that takes its time and writes down,
for each frame that was taken from it, when that was and by which of the human's boxes it was made."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from backend.__main__ import main
from backend.cli import serve
from backend.tracks import FrameResult
from support.choices import LITE
from support.fake_tracker import FakeTracker

SECONDS_A_FRAME = 0.1


class SlowTracker(FakeTracker):
    def __init__(self, log: str) -> None:
        super().__init__()
        self._log = open(log, "a", encoding="utf-8", buffering=1)  # noqa: SIM115 - as long as the process

    def track(self, *args: Any, **kwargs: Any) -> Iterator[FrameResult]:
        for result in super().track(*args, **kwargs):
            yield result
            # The caller came back for more: what it does with a frame is done.
            boxes = sorted((prompt.frame, prompt.box) for prompt in self.calls[-1].prompts if prompt.box is not None)
            self._log.write(json.dumps([time.monotonic(), result.frame, boxes]) + "\n")

    def _permitted(self, cancelled: Callable[[], bool]) -> bool:
        time.sleep(SECONDS_A_FRAME)
        return super()._permitted(cancelled)


if __name__ == "__main__":
    tracker = SlowTracker(sys.argv[1])
    serve.choose = lambda settings: LITE
    serve.tracker_factory = lambda settings, choice: lambda: tracker  # type: ignore[assignment, return-value]
    sys.exit(main(sys.argv[2:]))
