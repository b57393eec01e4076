"""A worker on Ray: it holds the models, and does one job after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from pydantic import SecretStr

from backend.errors import KeytrackError
from backend.labelstudio.media import LabelStudioAccess, MediaLibrary
from backend.prelabel.doing import Doer
from backend.prelabel.jobs import Job, Outcome
from backend.service.engine import Choice, Engine, choose, tracker_factory
from backend.settings import Settings, reuse_memory, share_processors

MakeDoer = Callable[[str, SecretStr | None], Doer]
"""Makes what does the jobs, of its name and of Label Studio's token."""


class Worker:
    """What a Ray actor is made of. One thread does jobs, and another one says how far it is.

    Args:
        name: who this is.
        make: makes what does the jobs, here.
    """

    def __init__(self, name: str, make: MakeDoer) -> None:
        share_processors()
        reuse_memory()
        self._name = name
        self._make = make
        self._doer: Doer | None = None
        self._at = ("", 0, 1)

    def load(self, token: SecretStr | None) -> KeytrackError | None:
        """Load the models; the error that kept them from being loaded.

        The token comes by a call rather than with what the actor is made of: that Ray keeps, on disk too where its head
        is to outlive a crash.
        """
        try:
            self._doer = self._make(self._name, token)
            self._doer.load()
        except KeytrackError as error:
            return error
        return None

    def do(self, job: Job) -> Outcome | None:
        """Do a job."""
        if self._doer is None:
            raise RuntimeError("jobs come after the models")
        name = str(job)
        self._at = name, 0, 1

        def told(done: int, steps: int) -> None:
            self._at = name, done, steps

        return self._doer.do(job, told)

    def progress(self) -> tuple[str, int, int]:
        """What it is doing, how many steps of that are done, and of how many."""
        return self._at


def make_doer(settings: Settings, choice: Choice, name: str, token: SecretStr | None) -> Doer:
    """What does jobs with the models of a choice, on whatever device there is here.

    Args:
        settings: those of the run, without the token.
        choice: which models; its device is that of another machine.
        name: who this is.
        token: of Label Studio.

    Raises:
        SettingsError: this machine does not have the device that was asked for.
    """
    settings = settings.model_copy(update={**asdict(choice), "device": settings.device, "label_studio_token": token})
    library = MediaLibrary(settings)
    url = settings.label_studio_url
    access = None if url is None else LabelStudioAccess(url, token)
    engine = Engine(tracker_factory(settings, choose(settings)))
    return Doer(engine.tracker, lambda video: library.resolve(video, access), name)


def without_secrets(settings: Settings) -> Settings:
    """The same without tokens and passwords: Ray keeps what it is given."""
    secret = [name for name, field in Settings.model_fields.items() if field.annotation == SecretStr | None]
    return settings.model_copy(update=dict.fromkeys(secret))
