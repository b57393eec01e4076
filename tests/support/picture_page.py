"""Label Studio's labeling page with a task of pictures, driven as a person would: by mouse and keyboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from support.browser import PAINTING, PATIENCE, unselect_regions

IMAGE = "Htx.annotationStore.selected.names.get('img')"
TOOL = "ToolManager.getInstance({name: 'img'}).findSelectedTool()"
REGIONS = """() => Htx.annotationStore.selected.regions.map(one => ({
    id: one.cleanId, type: one.type, labels: [...one.labels], index: one.item_index ?? 0, note: one.meta?.text ?? [],
}))"""


class PicturePage:
    """One task, opened from the data manager; points are pixels of the picture that is shown."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def open(self, task_url: str) -> None:
        self._page.goto(task_url)
        self._wait_for_picture(0)

    def switch_auto_annotation_on(self) -> None:
        toggle = self._page.get_by_test_id("bottombar-auto-annotation-toggle")
        if not toggle.is_checked():
            toggle.locator("..").click()
        expect(toggle).to_be_checked(timeout=PATIENCE)

    def take_smart_tool(self) -> None:
        """Press the button that appears at the toolbar's end with Auto-Annotation, unless it is pressed."""
        taken = f"Boolean({TOOL}?.dynamic && {TOOL}.toolName.startsWith('KeyPoint'))"
        if not self._page.evaluate(f"() => {taken}"):
            self._page.locator(".lsf-toolbar__group").last.locator(".lsf-tool").first.click()
            self._page.wait_for_function(f"() => {taken}")

    def click(self, key: str, x: float, y: float, *, positive: bool = True) -> list[dict[str, Any]]:
        """Press a label's key and click, with Alt for what is not the object; what is suggested then."""
        self._page.keyboard.press(key)
        self._page.wait_for_function(f"() => {IMAGE}.activeStates().length === 1")
        if not positive:
            self._page.keyboard.down("Alt")
        with self._page.expect_response(lambda response: "interactive-annotating" in response.url) as caught:
            self._page.mouse.click(*self._on_screen(x, y))
        if not positive:
            self._page.keyboard.up("Alt")
        reply = caught.value.json()
        assert not reply.get("errors"), reply
        items: list[dict[str, Any]] = reply["data"]["result"]
        self._page.wait_for_function(
            "count => !Htx.awaitingSuggestions && Htx.annotationStore.selected.suggestions.size === count",
            arg=len(items),
        )
        return items

    def paint(self, key: str, *path: tuple[float, float]) -> None:
        """Press a brush's key and pull it along a path; until the draft is saved, which is all that a backend sees."""
        self._page.keyboard.press(key)
        self._page.wait_for_function(f"() => {IMAGE}.activeStates().length === 1 && {TOOL}?.toolName === 'BrushTool'")
        with self._page.expect_response(lambda r: r.request.method in ("POST", "PATCH") and "/drafts" in r.url):
            self._page.mouse.move(*self._on_screen(*path[0]))
            self._page.mouse.down()
            for x, y in path[1:]:
                self._page.mouse.move(*self._on_screen(x, y), steps=8)
            self._page.mouse.up()
        unselect_regions(self._page)  # while one is selected, keys of labels are about it

    def accept(self) -> None:
        """The tick in the bottom bar."""
        self._page.get_by_test_id("bottombar-accept-suggestions-button").click()
        self._page.wait_for_function("() => Htx.annotationStore.selected.suggestions.size === 0")

    def next(self) -> None:
        """The picture that follows."""
        index = self._page.evaluate(f"() => {IMAGE}.currentImage")
        self._page.keyboard.press("Control+ArrowRight")
        self._wait_for_picture(index + 1)

    def regions(self) -> list[dict[str, Any]]:
        """Those of the open annotation, each with the position of its picture."""
        return list(self._page.evaluate(REGIONS))

    def submit(self) -> None:
        with self._page.expect_response(lambda r: r.request.method == "POST" and "/annotations" in r.url) as caught:
            self._page.get_by_test_id("bottombar-submit-button").click()
        assert caught.value.status == 201

    def screenshot(self, path: Path) -> None:
        self._page.wait_for_timeout(PAINTING)
        self._page.screenshot(path=path)

    def _wait_for_picture(self, index: int) -> None:
        self._page.wait_for_function(
            f"() => window.Htx?.annotationStore?.selected && {IMAGE}?.currentImage === {index}"
            f" && {IMAGE}.currentImageEntity?.imageLoaded && {IMAGE}.stageWidth > 1"
        )
        self._page.wait_for_timeout(PAINTING)

    def _on_screen(self, x: float, y: float) -> tuple[float, float]:
        at = self._page.evaluate(
            """() => {
                const image = document.querySelector('img[alt=image]'), box = image.getBoundingClientRect();
                return [box.x, box.y, box.width / image.naturalWidth, box.height / image.naturalHeight];
            }"""
        )
        return at[0] + x * at[2], at[1] + y * at[3]
