"""What was pressed, and went on when nobody waited for it any more, becomes the task's prediction."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Sequence

from backend.errors import KeytrackError
from backend.labelstudio.client import LabelStudioClient
from backend.prelabel.delivery import TOKENLESS, Delivery
from backend.service.parcels import Parcel, Terms
from backend.service.records import StoredTrack, still_there
from backend.service.store import Store

logger = logging.getLogger(__name__)


class Pressed:
    """Posts a task's tracks when the last of those that were pressed for is complete.

    The annotator gets them by pressing again; the prediction is for whoever else opens the task, or sorts tasks by
    doubt. What is posted is what a press returns. Where all of it was waited for, a prediction that the task has is
    brought up to date, and none is made. A track that failed is left out, and never takes what there is of it away.

    Args:
        store: has the tracks, and the presses that were answered before they were complete.
        delivery: posts.
        client: makes a client of a project's Label Studio; None where no token is known.
        model_version: of the models.
    """

    def __init__(
        self,
        store: Store,
        delivery: Delivery,
        client: Callable[[str], LabelStudioClient | None],
        *,
        model_version: str,
    ) -> None:
        self._store = store
        self._delivery = delivery
        self._client = client
        self._model_version = model_version
        self._lock = threading.Lock()  # what is read last is sent last
        self._told: set[str] = set()  # projects of which it was said that there is no token

    def ended(self, project: str, task: str, waited: Collection[int] = ()) -> None:
        """Work on a task's tracks is at its end, well or not; what others are still making is waited for.

        Args:
            project: Label Studio's.
            task: Label Studio's.
            waited: the presses that are answered with them now.
        """
        self._settle(project, task, waited, returned=not waited)

    def returned(self, project: str, task: str, press: int) -> None:
        """A press was answered with all that comes of it, as Label Studio's page has it now."""
        self._settle(project, task, [press], returned=True)

    def _settle(self, project: str, task: str, waited: Collection[int], *, returned: bool) -> None:
        try:
            with self._lock:
                self._send(project, task, waited, returned)
        except KeytrackError as error:  # the tracks are stored; the next start, or the next press, comes here again
            logger.warning("task %s of project %s: what was pressed is not posted yet: %s", task, project, error)

    def _send(self, project: str, task: str, waited: Collection[int], returned: bool) -> None:
        stored = self._store.tracks(project, task)
        tracks = _of_latest_source(still_there(stored))
        if any(_unfinished(track) for track in tracks):
            return
        kept = [press.number for press in self._store.presses.of(project, task) if press.number not in waited]
        if not kept and not returned:
            return  # before the answer it is not known what that is
        answers = [track.answer for track in tracks if track.answer is not None]
        if answers and self._may_post(project):
            result = [item for answer in answers for item in answer.results]
            score = min(answer.score for answer in answers)
            shown = {track.pressed for track in tracks}  # what others asked for was deleted since
            terms: Terms = "latest" if not waited or shown.intersection(kept) else "update"
            missing = frozenset(track.key.region for track in tracks if track.answer is None)
            self._delivery.send(Parcel(project, task, self._model_version, score, result, terms, missing))
        at_work = {track.pressed for track in stored if _unfinished(track)}
        for number in kept:  # only now: whatever ends the process before this, the next start finds them
            if number not in at_work:
                self._store.presses.drop(project, task, number)

    def _may_post(self, project: str) -> bool:
        client = self._client(project)
        if client is not None:
            client.close()
            return True
        if project not in self._told:
            self._told.add(project)
            logger.info("project %s: what is pressed is not posted: %s", project, TOKENLESS)
        return False


def _unfinished(track: StoredTrack) -> bool:
    return track.answer is None and track.problem is None


def _of_latest_source(tracks: Sequence[StoredTrack]) -> list[StoredTrack]:
    """Those of the same video, frame rate and models as the track that was pressed for last."""
    latest = max(tracks, key=lambda track: track.pressed, default=None)
    return [track for track in tracks if latest is not None and track.demand.source == latest.demand.source]
