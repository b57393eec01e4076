"""Two cars and a person in one video, through Label Studio's own interactive endpoint: each press changes its class."""

import copy

import pytest

from backend.demo.check import shown_boxes
from backend.demo.clip import Actor, Scene
from backend.demo.project import Clip, make_project
from backend.demo.trial import is_complete
from backend.tracks import box_iou

pytestmark = pytest.mark.slow

SCENE = Scene(
    (
        Actor("red", "car", (190, 40, 36), (90, 316), (230, 312)),
        Actor("blue", "car", (44, 70, 170), (330, 312), (520, 306), pace=1.3),
        Actor("walker", "person", (206, 170, 60), (520, 228), (440, 228)),
    ),
    frames=24,
)
PRESSES = 100


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Clip:
    path = tmp_path_factory.mktemp("three") / "three.mp4"
    SCENE.write(path)
    return Clip.of("three", path)


@pytest.fixture(scope="module")
def project(studio, clip):
    return make_project(studio.client, studio.backend_url, [clip], title="Three objects")


class Annotation:
    """What the page holds: regions by id, each replaced by the reply of the same id, as the page does it."""

    def __init__(self, project, clip, regions):
        self.project, self.clip = project, clip
        self.regions = {region["id"]: region for region in regions}
        self.replied: set[str] = set()

    def of_class(self, label: str) -> list[dict]:
        return [region for region in self.regions.values() if region["value"]["labels"][0] == label]

    def press(self, label: str) -> int:
        """Press Track on a region of a class until all of that class is complete; gives the presses it took."""
        for press in range(1, PRESSES + 1):
            reply = self.project.press(self.clip.name, self.of_class(label))
            for region in reply:
                self.replied.add(region["id"])
                # The page gives whatever comes back the class that is selected, so none of another may come back.
                self.regions[region["id"]] = region
            if all(is_complete(region) for region in self.of_class(label)):
                return press
        pytest.fail(f"not complete: {[region['meta'] for region in self.of_class(label)]}")

    def save(self) -> list[dict]:
        body = {"result": list(self.regions.values())}
        task = self.project.tasks[self.clip.name]
        return self.project.client.post(f"/api/tasks/{task}/annotations", body)["result"]


def keyframes(region: dict) -> list[dict]:
    return region["value"]["sequence"]


def test_each_press_changes_only_its_class(studio, project, clip):
    truth = SCENE.true_boxes()

    def drawn(name: str, label: str, *frames: int) -> dict:
        regions = [project.drawn_box(name, label, clip, frame, truth[name][frame]) for frame in frames]
        regions[0]["value"]["sequence"] = [keyframes(region)[0] for region in regions]
        return regions[0]

    red, blue, walker = drawn("red", "Car", 6), drawn("blue", "Car", 3, 18), drawn("walker", "Person", 10)
    human = {region["id"]: copy.deepcopy(keyframes(region)) for region in (red, blue, walker)}
    annotation = Annotation(project, clip, [red, blue, walker])
    studio.client.post(f"/api/tasks/{project.tasks['three']}/drafts", {"result": [red, blue, walker], "lead_time": 1.0})

    annotation.press("Car")
    assert annotation.replied == {"red", "blue"}
    assert annotation.regions["walker"] is walker
    cars = copy.deepcopy(annotation.of_class("Car"))

    annotation.replied.clear()
    annotation.press("Person")
    assert annotation.replied == {"walker"}
    assert annotation.of_class("Car") == cars

    annotation.replied.clear()
    assert annotation.press("Car") == 1
    assert annotation.replied == {"red", "blue"}
    assert [keyframes(region) for region in annotation.of_class("Car")] == [keyframes(region) for region in cars]

    saved = {region["id"]: region for region in annotation.save()}
    assert set(saved) == set(human)
    for name, region in saved.items():
        assert region["value"]["labels"] == (["Person"] if name == "walker" else ["Car"])
        frames = [keyframe["frame"] for keyframe in keyframes(region)]
        assert frames == sorted(set(frames))
        for keyframe in human[name]:
            assert keyframe in keyframes(region)
        boxes = shown_boxes(region, clip)
        ious = [box_iou(boxes[clip.clock.label_studio_frame(index)], box) for index, box in enumerate(truth[name])]
        assert min(ious) > 0.7, (name, ious)
