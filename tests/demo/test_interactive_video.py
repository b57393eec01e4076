"""The interactive video protocol through Label Studio's own interactive endpoint, which hands its contexts on."""

from __future__ import annotations

from typing import Any

import pytest

from backend.demo.clip import Actor, Scene
from backend.demo.project import Clip, Project, make_project
from backend.demo.studio import Studio
from backend.tracks import box_iou
from support.video_client import Client, box_of, point

pytestmark = pytest.mark.slow

SCENE = Scene((Actor("car", "car", (190, 40, 36), (90, 316), (330, 308)),), frames=6, fps=10)


@pytest.fixture(scope="module")
def project(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Project:
    path = tmp_path_factory.mktemp("protocol") / "protocol.mp4"
    SCENE.write(path)
    return make_project(studio.client, studio.backend_url, [Clip.of("protocol", path)], title="Protocol")


def test_clicks_and_a_track_through_label_studio(project: Project) -> None:
    def send(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        asked = {"task": project.tasks["protocol"], "context": body["params"]["context"]}
        reply = project.client.post(f"/api/ml/{project.backend_id}/interactive-annotating", asked)
        assert "errors" not in reply, reply
        return 200, {"results": [reply["data"]]}

    client = Client(send)
    assert client.value("capabilities", "capabilities")["model_info"]["name"] == "keytrack"
    assert client.value("prewarm", "prewarm_ack", time_ms=102, window=1)["frame_count"] == SCENE.frames

    truth = SCENE.true_boxes()["car"]
    x0, y0, x1, y1 = truth[1]
    body = point((x0 + x1) / 2 / SCENE.width * 100, (y0 + 0.6 * (y1 - y0)) / SCENE.height * 100)
    around = {"type": "rectanglelabels", "value": percent(truth[1])}
    for marks in ([around], [around, body]):
        shown = box_of(client.predict(*marks, time_ms=102))
        assert shown is not None and box_iou(shown, truth[1]) > 0.8

    frames = client.tracked(around, body, time_ms=102, direction="both", max_frames=2)
    found = {one["frame"]: box_of(one) for one in frames}
    assert sorted(found) == [0, 1, 2, 3]
    assert all(box is not None and box_iou(box, truth[frame]) > 0.7 for frame, box in found.items())
    assert client.value("release", "release_ack") == {"status": "released"}


def percent(box: tuple[float, float, float, float]) -> dict[str, float]:
    x0, y0, x1, y1 = (side / size * 100 for side, size in zip(box, (SCENE.width, SCENE.height) * 2, strict=True))
    return {"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0}
