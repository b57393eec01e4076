"""A project of Label Studio that gets videos as lists of images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from backend.errors import LabelConfigError, LabelStudioError
from backend.labelstudio.client import LabelStudioClient
from backend.labelstudio.cut_video import CutVideo
from backend.labelstudio.payload import Incoming, parse
from backend.labelstudio.picture_config import parse_picture_config
from backend.labelstudio.project import TaskPage, read_label_config


class _Number(Incoming):
    """Anything that has a number."""

    id: int


class _Imported(Incoming):
    """What an import is answered with."""

    task_ids: list[int]


class _Titled(_Number):
    """A project in a list of them."""

    title: str


class _Projects(Incoming):
    """A page of projects."""

    results: list[_Titled]


@dataclass(frozen=True)
class FramesProject:
    """A project, by its number, whose tasks have their images under ``key``."""

    client: LabelStudioClient
    id: int
    key: str

    @classmethod
    def open(cls, client: LabelStudioClient, number: int) -> FramesProject:
        """A project that is there.

        Raises:
            LabelStudioError: there is none of that number, or Label Studio cannot be reached.
            LabelConfigError: its labeling configuration is not for lists of images.
        """
        try:
            key = parse_picture_config(read_label_config(client, number)).frames_key
        except LabelConfigError as error:
            raise LabelConfigError(f"project {number} cannot have frames of a video: {error}") from error
        return cls(client, number, key)

    @classmethod
    def create(cls, client: LabelStudioClient, title: str, label_config: str) -> FramesProject:
        """A new project with a labeling configuration, and nothing else.

        Raises:
            LabelStudioError: Label Studio refused it, or cannot be reached.
            LabelConfigError: the labeling configuration is not for lists of images.
        """
        key = parse_picture_config(label_config).frames_key
        made = client.post("/api/projects", {"title": title, "label_config": label_config})
        return cls(client, parse(_Number, made, "the new project").id, key)

    def delete(self) -> None:
        """Delete it, with all that it has.

        Raises:
            LabelStudioError: Label Studio refused, or cannot be reached.
        """
        self.client.delete(f"/api/projects/{self.id}")

    @property
    def url(self) -> str:
        """Where people see it."""
        return f"{self.client.url}/projects/{self.id}/data"

    def task_url(self, task: int) -> str:
        """Where people see one of its tasks."""
        return f"{self.url}?task={task}"

    def find(self, video: CutVideo) -> int | None:
        """The task that has this cut of the video already.

        Raises:
            LabelStudioError: Label Studio cannot be reached.
        """
        item = {"filter": "filter:tasks:data.cut", "operator": "equal", "type": "String", "value": video.cut}
        query = json.dumps({"filters": {"conjunction": "and", "items": [item]}})
        answer = self.client.get("/api/tasks", project=self.id, query=query, page=1, page_size=1)
        tasks = parse(TaskPage, answer, f"tasks of project {self.id}").tasks
        return parse(_Number, tasks[0], f"a task of project {self.id}").id if tasks else None

    def add(self, video: CutVideo, images: Sequence[str]) -> int:
        """Make a task of a cut video, and return its number.

        Args:
            video: what the task says of it.
            images: the images' addresses, in the order of the frames.

        Raises:
            LabelStudioError: Label Studio refused it, or cannot be reached.
            LabelConfigError: the labeling configuration calls the images by a name that is taken.
        """
        body = [{"data": video.task_data(self.key, images)}]
        answer = self.client.post(f"/api/projects/{self.id}/import", body, return_task_ids="true")
        numbers = parse(_Imported, answer, "the answer to an import").task_ids
        if len(numbers) != 1:
            raise LabelStudioError(f"project {self.id}: one task was imported, and Label Studio made {len(numbers)}")
        return numbers[0]


def title_taken(client: LabelStudioClient, title: str) -> int | None:
    """The number of the project that has this title.

    Raises:
        LabelStudioError: Label Studio cannot be reached.
    """
    found = parse(_Projects, client.get("/api/projects", title=title), "the projects").results
    return next((project.id for project in found if project.title == title), None)
