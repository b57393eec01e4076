"""Label Studio's labeling page, driven as a person would: by mouse and keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect, sync_playwright

from backend.demo.studio import Account
from backend.demo.trial import is_complete
from backend.tracks import Box
from support.require import chromium

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PAINTING = 300  # milliseconds from a frame's arrival to its picture; no result depends on it
PRESSES = 100  # at five seconds each, on a slow machine
PATIENCE = 120_000  # milliseconds until a test gives up; Label Studio's page alone may take half of it
DRAG_STEPS = 8
FRAME_STEP = 16  # pixels between two frames on the timeline
VIDEO = "Htx.annotationStore.selected.names.get('video')"
HISTORY = "Htx.annotationStore.selected.history.undoIdx"
SEQUENCE = "JSON.stringify(Htx.annotationStore.selected.regions.find(one => one.cleanId === id).sequence)"
# The buttons of the timeline that have no name: zoom, then these two.
KEYFRAME_BUTTON, SPAN_BUTTON = 1, 2
REGIONS = """() => Htx.annotationStore.selected.regions.map(region => ({
    id: region.cleanId, labels: region.labels.filter(label => label !== 'Track'), selected: region.selected,
    score: region.score ?? null, note: region.meta?.text ?? [],
    sequence: JSON.parse(JSON.stringify(region.sequence)),
}))"""


@contextmanager
def browser_page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(ARGUMENTS))
        try:
            page = browser.new_page(viewport={"width": 1440, "height": 1080})
            page.set_default_timeout(PATIENCE)
            yield page
        finally:
            browser.close()


def unselect_regions(page: Page) -> None:
    """Press Escape until nothing is selected. What was drawn is selected once the page has made a region of it: a key
    that comes earlier does nothing."""
    for _ in range(60):
        page.keyboard.press("Escape")
        page.wait_for_timeout(PAINTING)
        if page.evaluate("() => Htx.annotationStore.selected.regions.every(one => !one.selected)"):
            return
    raise AssertionError("a region stays selected")


class LabelingPage:
    """One task, opened from the data manager. Boxes are pixels of the video, frames those that Label Studio shows."""

    def __init__(self, page: Page, url: str) -> None:
        self._page = page
        self._url = url

    def sign_in(self, account: Account) -> None:
        self._page.goto(self._url + "/user/login/")
        self._page.fill("input[name=email]", account.email)
        self._page.fill("input[name=password]", account.password)
        self._page.click("button[type=submit]")
        self._page.wait_for_url(lambda url: "/user/login" not in url)

    def open(self, task_url: str) -> None:
        self._page.goto(task_url)
        self._page.wait_for_function(f"() => window.Htx?.annotationStore?.selected && {VIDEO}?.length > 1")

    def switch_auto_annotation_on(self) -> None:
        toggle = self._page.get_by_test_id("bottombar-auto-annotation-toggle")
        if not toggle.is_checked():
            toggle.locator("..").click()
        expect(toggle).to_be_checked(timeout=PATIENCE)

    def go_to(self, frame: int) -> None:
        counter = self._page.locator(".lsf-frames-control")
        counter.click()
        counter.locator("input").fill(str(frame))
        counter.locator("input").press("Enter")
        self._page.wait_for_function(
            f"""() => {{
                const video = document.querySelector('video'), rate = Number({VIDEO}.framerate);
                return {VIDEO}.frame === {frame} && !video.seeking && video.readyState >= 2
                    && Math.abs(video.currentTime * rate - {frame - 1}) < 1;
            }}"""
        )
        self._page.wait_for_timeout(PAINTING)

    def select_regions_after_creating_them(self) -> None:
        """Switch the setting on, so that t can follow the drawing at once."""
        self._page.get_by_test_id("bottombar-settings-button").click()
        self._page.locator("label", has_text="Select region after creating it").click()
        self._page.wait_for_function("() => Htx.settings.selectAfterCreate")
        self._page.keyboard.press("Escape")

    def choose_direction(self, name: str) -> None:
        """Choose for the selected region."""
        self._page.get_by_role("radio", name=name).check()

    def choose_label(self, name: str) -> None:
        self._page.locator(".lsf-label", has_text=name).first.click()

    def draw(self, box: Box) -> None:
        """Drag from corner to corner, and wait for the region."""
        before = len(self.regions())
        start, end = self._on_screen(box[0], box[1]), self._on_screen(box[2], box[3])
        self._page.mouse.move(*start)
        self._page.mouse.down()
        self._page.mouse.move(*end, steps=DRAG_STEPS)
        self._page.mouse.up()
        self._page.wait_for_function(f"() => Htx.annotationStore.selected.regions.length === {before + 1}")

    def click_at(self, x: float, y: float) -> None:
        self._page.mouse.click(*self._on_screen(x, y))

    def select(self, region_id: str) -> None:
        """Click a region's name in the timeline; on the video another box may lie over its own."""
        if not any(one["selected"] for one in self.regions() if one["id"] == region_id):
            self._page.locator(f".lsf-keypoints[data-id='{region_id}'] .lsf-keypoints__label").click()
        self._page.wait_for_function(
            "id => Htx.annotationStore.selected.regions.every(one => one.selected === (one.cleanId === id))",
            arg=region_id,
        )

    def unselect(self) -> None:
        unselect_regions(self._page)

    def drag(self, region_id: str, dx: float, dy: float) -> Box:
        """Move a region's box on the frame that is shown; the box then."""
        x, y = _middle(self._box(region_id))
        return self._pull(region_id, (x, y), (x + dx, y + dy))

    def drag_corner(self, region_id: str, dx: float, dy: float, *, upper_left: bool = False) -> Box:
        """Pull a corner of the selected region's box on the frame that is shown, by default the lower right one."""
        x0, y0, x1, y1 = self._box(region_id)
        x, y = (x0, y0) if upper_left else (x1, y1)
        return self._pull(region_id, (x, y), (x + dx, y + dy))

    def toggle_keyframe(self, region_id: str) -> None:
        """Make a keyframe of the selected region on the frame that is shown, or delete the one that is there."""
        self._toggle(region_id, KEYFRAME_BUTTON)

    def toggle_span(self, region_id: str) -> None:
        """End, or begin, the selected region's span at its last keyframe up to the frame that is shown."""
        self._toggle(region_id, SPAN_BUTTON)

    def delete(self, region_id: str) -> None:
        """Delete the selected region."""
        self._page.keyboard.press("Backspace")
        self._page.wait_for_function(
            "id => Htx.annotationStore.selected.regions.every(one => one.cleanId !== id)", arg=region_id
        )

    def undo(self) -> None:
        """One step back; a drag is as many as the mouse has moved in."""
        step = self._page.evaluate(f"() => {HISTORY}")
        self._page.keyboard.press("Control+z")
        self._page.wait_for_function(f"step => {HISTORY} < step", arg=step)

    def press_track(self) -> dict[str, Any]:
        """Press t, and give what the browser sent; the reply is in the page when this returns."""
        with self._page.expect_response(lambda response: "interactive-annotating" in response.url) as caught:
            self._page.keyboard.press("t")
        response = caught.value
        assert response.status == 200
        assert not response.json().get("errors"), response.text()
        replied = response.json()["data"]["result"]
        tracks = [region for region in replied if region["type"] == "videorectangle"]
        lengths = {region["id"]: len(region["value"]["sequence"]) for region in tracks}
        self._page.wait_for_function(
            """lengths => !Htx.awaitingSuggestions && Htx.annotationStore.selected.regions.every(
                region => !(region.cleanId in lengths) || region.sequence.length === lengths[region.cleanId])""",
            arg=lengths,
        )
        sent: dict[str, Any] = response.request.post_data_json
        return sent

    def press_until_complete(self) -> list[dict[str, Any]]:
        """Press t again and again until all regions, which are of one class, are tracked wholly; the regions then."""
        for _ in range(PRESSES):
            self.press_track()
            regions = self.regions()
            if all(is_complete({"meta": {"text": region["note"]}}) for region in regions):
                return regions
        raise AssertionError(f"not complete after {PRESSES} presses: {[region['note'] for region in regions]}")

    def regions(self) -> list[dict[str, Any]]:
        """The regions of the open annotation as the page holds them; Track, which each press switches, is left out."""
        return list(self._page.evaluate(REGIONS))

    def timeline_keyframes(self, region_id: str) -> list[int]:
        """The frames of the diamonds that the timeline draws for a region, read from where they stand."""
        offsets = self._page.evaluate(
            """id => [...document.querySelectorAll(`.lsf-keypoints[data-id="${id}"] .lsf-keypoints__lifespan`)].flatMap(
                span => [...span.querySelectorAll('.lsf-keypoints__point')].map(
                    point => parseFloat(span.style.left) + parseFloat(point.style.left)))""",
            region_id,
        )
        return sorted(round((offset - FRAME_STEP / 2) / FRAME_STEP) + 1 for offset in offsets)

    def shown_box(self, region_id: str, frame: int, width: int, height: int) -> Box | None:
        """The box (pixels) that the page itself interpolates for a region on a frame; None where it shows none."""
        shape = self._page.evaluate(
            """([id, frame]) => {
                const region = Htx.annotationStore.selected.regions.find(region => region.cleanId === id);
                return region.isInLifespan(frame) ? region.getShape(frame) : null;
            }""",
            [region_id, frame],
        )
        if shape is None:
            return None
        x, y = shape["x"] * width / 100, shape["y"] * height / 100
        return (x, y, x + shape["width"] * width / 100, y + shape["height"] * height / 100)

    def submit(self) -> None:
        with self._page.expect_response(lambda r: r.request.method == "POST" and "/annotations" in r.url) as caught:
            self._page.get_by_test_id("bottombar-submit-button").click()
        assert caught.value.status == 201

    def screenshot(self, path: Path) -> None:
        self._page.screenshot(path=path)

    def _box(self, region_id: str) -> Box:
        frame, size = self._page.evaluate(f"() => [{VIDEO}.frame, {VIDEO}.ref.current.videoDimensions]")
        box = self.shown_box(region_id, frame, size["width"], size["height"])
        assert box is not None, f"{region_id} is not shown on frame {frame}"
        return box

    def _pull(self, region_id: str, start: tuple[float, float], end: tuple[float, float]) -> Box:
        """Drag from one point of the video to another, by which a region's box changes."""
        before = self._sequence(region_id)
        self._page.mouse.move(*self._on_screen(*start))
        self._page.mouse.down()
        self._page.mouse.move(*self._on_screen(*end), steps=DRAG_STEPS)
        self._page.mouse.up()
        self._until_it_differs(region_id, before)
        return self._box(region_id)

    def _toggle(self, region_id: str, button: int) -> None:
        before = self._sequence(region_id)
        self._page.locator(".lsf-timeline-controls button:not([aria-label])").nth(button).click()
        self._until_it_differs(region_id, before)

    def _sequence(self, region_id: str) -> str:
        found: str = self._page.evaluate(f"id => {SEQUENCE}", region_id)
        return found

    def _until_it_differs(self, region_id: str, before: str) -> None:
        self._page.wait_for_function(f"([id, before]) => {SEQUENCE} !== before", arg=[region_id, before])

    def _on_screen(self, x: float, y: float) -> tuple[float, float]:
        """A point of the video as a point of the window."""
        scale = self._page.evaluate(
            f"""() => {{
                const video = {VIDEO}.ref.current;
                const stage = document.querySelector('.konvajs-content canvas').getBoundingClientRect();
                const zoom = video.zoom, size = video.videoDimensions;
                return {{zoom, x: stage.x + (stage.width - size.width * zoom) / 2 + video.pan.x,
                        y: stage.y + (stage.height - size.height * zoom) / 2 + video.pan.y}};
            }}"""
        )
        return scale["x"] + x * scale["zoom"], scale["y"] + y * scale["zoom"]


def _middle(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
