"""A video that was cut into images, opened in a real Label Studio and stepped through."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page

from backend.__main__ import main
from backend.labelstudio.cut_video import CutVideo
from backend.video.reader import VideoReader
from support.browser import PAINTING, LabelingPage, browser_page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

EVERY = 5
IMAGE = "Htx.annotationStore.selected.names.get('img')"

PIXELS = """() => {
    const image = document.querySelector('img[alt=image]'), canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    canvas.getContext('2d').drawImage(image, 0, 0);
    return canvas.toDataURL('image/png');
}"""


def wait_for(page: Page, position: int) -> None:
    """Until the image at a position, from 0, is painted."""
    page.wait_for_function(
        f"() => window.Htx?.annotationStore?.selected && {IMAGE}?.currentImage === {position}"
        f" && {IMAGE}.currentImageEntity?.imageLoaded"
    )
    page.wait_for_timeout(PAINTING)


def shown(page: Page) -> tuple[str, np.ndarray]:
    """The address of the image that the page shows, and the image as the browser has decoded it."""
    address: str = page.evaluate(f"() => {IMAGE}.currentSrc")
    assert page.get_by_alt_text("image", exact=True).is_visible()
    encoded = page.evaluate(PIXELS).partition(",")[2]
    return address, np.array(Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB"))


def difference(seen: np.ndarray, frame: np.ndarray) -> float:
    """The mean difference of two pictures in levels."""
    return float(np.abs(seen.astype(int) - frame).mean())


def test_a_cut_video_is_stepped_through(studio, clips, shots: Path, tmp_path):
    access = ["--label-studio-url", studio.url, "--label-studio-token", studio.account.token]
    clip = clips["opossum"].path
    arguments = ["--out", str(tmp_path / "cuts"), "--every", str(EVERY), "--create-project", "Opossum", *access]
    assert main(["frames", str(clip), *arguments]) == 0
    project = studio.client.get("/api/projects", title="Opossum")["results"][0]["id"]
    (task,) = studio.client.get("/api/tasks", project=project, fields="all")["tasks"]
    said = CutVideo.model_validate(task["data"])

    with browser_page() as page, VideoReader(clip) as video:
        LabelingPage(page, studio.url).sign_in(studio.account)
        page.goto(f"{studio.url}/projects/{project}/data?task={task['id']}")
        wait_for(page, 0)
        count = page.locator(".lsf-pagination__page-indicator").inner_text()
        assert re.sub(r"\s+", " ", count).strip() == f"1 of {len(said.indices)}"
        page.keyboard.press("Control+ArrowRight")
        wait_for(page, 1)
        page.locator(".lsf-pagination__page-indicator").click()
        page.keyboard.press("Control+a")
        page.keyboard.type("120")
        page.keyboard.press("Enter")
        wait_for(page, 119)
        page.screenshot(path=shots / "frames.png")
        for position in (119, 120, 121):
            wait_for(page, position)
            address, seen = shown(page)
            index = said.indices[position]
            assert address.endswith(f"opossum_snow-{index:06d}.jpg")
            found = {other: difference(seen, video.frame(other)) for other in (index - EVERY, index, index + EVERY)}
            assert min(found, key=found.__getitem__) == index
            assert found[index] < 3
            page.keyboard.press("Control+ArrowRight")
