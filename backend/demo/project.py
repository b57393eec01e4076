"""The demo's project in Label Studio: made once, found again afterwards."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.demo.clip import STREET
from backend.errors import LabelStudioError, StartError
from backend.labelstudio.client import LabelStudioClient
from backend.labelstudio.config import VideoConfig, parse_config
from backend.tracks import Box
from backend.video.clock import FrameClock
from backend.video.reader import VideoReader

log = logging.getLogger(__name__)

TITLE = "Keytrack demo"
BACKEND_TITLE = "Keytrack"
LABEL_CONFIG = Path(__file__).resolve().parents[2] / "labelstudio_config" / "video_boxes.xml"
DESCRIPTION = "Draw a box on an object, choose its label, switch Auto-Annotation on and press t."

Region = dict[str, Any]


@dataclass(frozen=True)
class Clip:
    """A video file and what a browser would say of it."""

    name: str
    path: Path
    width: int
    height: int
    fps: float
    duration: float
    clock: FrameClock

    @classmethod
    def of(cls, name: str, path: Path) -> Clip:
        """Look into the file.

        Raises:
            VideoError: it cannot be read.
        """
        with VideoReader(path) as video:
            clock = FrameClock(video.timestamps, video.duration, video.fps)
            return cls(name, path, video.width, video.height, video.fps, video.duration, clock)


@dataclass(frozen=True)
class Project:
    """The project, its connected backend, and the task of each clip by the clip's name."""

    client: LabelStudioClient
    id: int
    backend_id: int
    config: VideoConfig
    tasks: dict[str, int]

    @property
    def url(self) -> str:
        """Where people see it."""
        return f"{self.client.url}/projects/{self.id}/data"

    def task_url(self, clip: str) -> str:
        """Where people see one task."""
        return f"{self.url}?task={self.tasks[clip]}"

    def drawn_box(self, region_id: str, label: str, clip: Clip, frame: int, box: Box) -> Region:
        """What the browser holds of a box (pixels) that was just drawn on a frame (a decode index) and labelled."""
        x0, y0, x1, y1 = box
        shown_at = clip.clock.label_studio_frame(frame)
        keyframe = {
            "frame": shown_at,
            "enabled": True,
            "rotation": 0,
            "x": 100 * x0 / clip.width,
            "y": 100 * y0 / clip.height,
            "width": 100 * (x1 - x0) / clip.width,
            "height": 100 * (y1 - y0) / clip.height,
            "time": shown_at / clip.fps,
        }
        return {
            "id": region_id,
            "from_name": self.config.region_name,
            "to_name": self.config.video_name,
            "type": "videorectangle",
            "origin": "manual",
            "value": {
                "framesCount": clip.clock.frame_count,
                "duration": clip.duration,
                "labels": [label],
                "sequence": [keyframe],
            },
        }

    def direction(self, region: Region, direction: str) -> Region:
        """The per-region choice of the direction, as it stands beside its region."""
        value = {name: part for name, part in region["value"].items() if name != "labels"} | {"choices": [direction]}
        return region | {"from_name": self.config.direction_name, "type": "choices", "value": value}

    def press(self, clip: str, regions: Sequence[Region]) -> list[Region]:
        """Press Track with these regions: what Label Studio's own interactive endpoint gives the browser.

        Raises:
            LabelStudioError: Label Studio, or the backend through it, reported an error.
        """
        reply = self.client.post(
            f"/api/ml/{self.backend_id}/interactive-annotating",
            {"task": self.tasks[clip], "context": {"result": list(regions)}},
        )
        errors = reply.get("errors")
        if errors:
            raise LabelStudioError("the press failed: " + "; ".join(map(str, errors)))
        result: list[Region] = reply["data"]["result"]
        return result

    def add_prediction(self, clip: str, regions: Sequence[Region]) -> None:
        """Keep regions as a prediction, which people see when they open the task."""
        version = self.client.get(f"/api/ml/{self.backend_id}")["model_version"]
        score = min((region.get("score", 1.0) for region in regions), default=0.0)
        body = {"task": self.tasks[clip], "result": list(regions), "score": score, "model_version": version}
        if not self.has_prediction(clip):  # the backend posts what came to its end between two presses
            self.client.post("/api/predictions", body)
        # An annotation is begun with the prediction of this version; connecting a backend sets it to the title.
        self.client.patch(f"/api/projects/{self.id}", {"model_version": version})

    def has_prediction(self, clip: str) -> bool:
        """Whether the task has one already."""
        return bool(self.client.get("/api/predictions", task=self.tasks[clip]))


def demo_clips(directory: Path) -> list[Clip]:
    """The opossum clip that Label Studio ships, and the street scene, rendered into ``directory`` on first use.

    Raises:
        StartError: the installed Label Studio ships no such clip.
        VideoError: a clip cannot be written or read.
    """
    spec = importlib.util.find_spec("label_studio")
    if spec is None or spec.origin is None:
        raise StartError("Label Studio is not installed here: pip install -r requirements-demo.txt")
    opossum = Path(spec.origin).parent / "core" / "static" / "samples" / "opossum_snow.mp4"
    if not opossum.is_file():
        raise StartError(
            f"this Label Studio does not ship {opossum.name}; install the version in requirements-demo.txt"
        )
    street = directory / "keytrack_street.mp4"
    if not street.is_file():
        directory.mkdir(parents=True, exist_ok=True)
        STREET.write(street)
    return [Clip.of("street", street), Clip.of("opossum", opossum)]


def make_project(
    client: LabelStudioClient,
    backend_url: str,
    clips: Sequence[Clip],
    *,
    title: str = TITLE,
    config: Path = LABEL_CONFIG,
) -> Project:
    """The project of that title with these clips and this backend; what is there already is used.

    Raises:
        LabelStudioError: Label Studio refused something.
    """
    found = client.get("/api/projects", title=title)["results"]
    project = next((project for project in found if project["title"] == title), None)
    if project is None:
        body = {"title": title, "label_config": config.read_text("utf-8"), "description": DESCRIPTION}
        project = client.post("/api/projects", body)
    project_id = project["id"]
    tasks = {
        task["data"]["clip"]: task["id"]
        for task in client.get("/api/tasks", project=project_id, fields="all")["tasks"]
        if "clip" in task["data"]
    }
    for clip in clips:
        if clip.name not in tasks:
            tasks[clip.name] = _import(client, project_id, clip)
    return Project(
        client, project_id, _connect(client, project_id, backend_url), parse_config(project["label_config"]), tasks
    )


def _import(client: LabelStudioClient, project_id: int, clip: Clip) -> int:
    """Upload a clip and make its task, with the frame rate that the labeling configuration refers to."""
    path = f"/api/projects/{project_id}/import"
    with clip.path.open("rb") as file:
        files = {"file": (clip.path.name, file, "video/mp4")}
        uploaded = client.call("POST", path, files=files, params={"commit_to_project": "false"})
    upload = client.get(f"/api/import/file-upload/{uploaded['file_upload_ids'][0]}")
    address = "/data/" + upload["file"].lstrip("/").removeprefix("data/")
    body = [{"data": {"video": address, "fps": clip.fps, "clip": clip.name}}]
    imported = client.post(path, body, return_task_ids="true")
    return int(imported["task_ids"][0])


def _connect(client: LabelStudioClient, project_id: int, url: str) -> int:
    """The project's interactive backend at ``url``; one from an earlier start, on another port, is moved there."""
    settings = {"url": url, "is_interactive": True, "title": BACKEND_TITLE, "project": project_id}
    for backend in client.get("/api/ml", project=project_id):
        if backend["title"] == BACKEND_TITLE:
            client.patch(f"/api/ml/{backend['id']}", settings)
            return int(backend["id"])
    return int(client.post("/api/ml", settings)["id"])
