from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.cli.prompts import parse_prompt, read_prompts
from backend.errors import PromptError
from backend.prelabel.prompts import PromptRequest, labels_of, read_mask
from backend.tracks import Point

WIDTH, HEIGHT = 16, 12


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cat@12 box=1,2,30,40.5", {"name": "cat", "frame": 12, "box": (1.0, 2.0, 30.0, 40.5)}),
        ("cat:Animal@0 box=1,2,3,4", {"name": "cat", "label": "Animal", "frame": 0, "box": (1.0, 2.0, 3.0, 4.0)}),
        (
            "  red man : Traffic light @7  points=+1,2;-3.5,4",
            {
                "name": "red man",
                "label": "Traffic light",
                "frame": 7,
                "points": (Point(1.0, 2.0), Point(3.5, 4.0, positive=False)),
            },
        ),
        (
            "cat@1 box=-5,0,9,9 points=+1,1",
            {"name": "cat", "frame": 1, "box": (-5.0, 0.0, 9.0, 9.0), "points": (Point(1.0, 1.0),)},
        ),
        ("cat@1 mask=a.png", {"name": "cat", "frame": 1, "mask": Path("a.png")}),
        ("cat@1 mask=a.png#2", {"name": "cat", "frame": 1, "mask": Path("a.png"), "mask_value": 2}),
        ("cat@1 mask=a#b.png", {"name": "cat", "frame": 1, "mask": Path("a#b.png")}),
        ("cat@1 mask='my file.png' box=1,2,3,4", {
            "name": "cat", "frame": 1, "mask": Path("my file.png"), "box": (1.0, 2.0, 3.0, 4.0)
        }),
        ("猫:動物@1 box=1,2,3,4", {"name": "猫", "label": "動物", "frame": 1, "box": (1.0, 2.0, 3.0, 4.0)}),
    ],
)  # fmt: skip
def test_a_prompt_is_read(text, expected):
    assert parse_prompt(text) == PromptRequest(source=f"--prompt {text!r}", **expected)


@pytest.mark.parametrize(
    ("text", "problem", "form"),
    [
        ("", "does not start with a name and a frame", "NAME[:LABEL]@FRAME"),
        ("cat", "does not start with a name and a frame", "NAME[:LABEL]@FRAME"),
        ("cat box=1,2,3,4", "does not start with a name and a frame", "cat:Animal@12"),
        ("@3 box=1,2,3,4", "does not start with", "cat:Animal@12"),
        (":Animal@3 box=1,2,3,4", "does not start with", "cat:Animal@12"),
        ("cat:@3 box=1,2,3,4", "does not start with", "cat:Animal@12"),
        ("cat@-3 box=1,2,3,4", "does not start with", "cat:Animal@12"),
        ("cat@1.5 box=1,2,3,4", "does not start with", "cat:Animal@12"),
        ("cat@" + "9" * 5000 + " box=1,2,3,4", "does not start with", "cat:Animal@12"),
        ("cat@3box=1,2,3,4", "does not start with", "cat:Animal@12"),
        ("cat@3", "marks nothing", "box=X0,Y0,X1,Y1"),
        ("cat@3 mask='a.png", "No closing quotation", "box=X0,Y0,X1,Y1"),
        ("cat@3 1,2,3,4", "'1,2,3,4' is no field", "box=X0,Y0,X1,Y1"),
        ("cat@3 bbox=1,2,3,4", "'bbox=1,2,3,4' is no field", "points=+X,Y;-X,Y"),
        ("cat@3 box=", "box is empty", "box=40,30,120,90"),
        ("cat@3 box", "box is empty", "box=40,30,120,90"),
        ("cat@3 box=1,2,3", "3 numbers instead of 4", "box=40,30,120,90"),
        ("cat@3 box=1,2,3,x", "'x' is no number", "box=40,30,120,90"),
        ("cat@3 box=9,2,3,4", "the right side is not right", "box=40,30,120,90"),
        ("cat@3 box=1,2,3,2", "the bottom not below the top", "box=40,30,120,90"),
        ("cat@3 box=1,2,3,4 box=1,2,3,4", "two fields box", "give one"),
        ("cat@3 points=1,2", "'1,2' is no point", "points=+60,50;-90,20"),
        ("cat@3 points=+1,2;", "'' is no point", "points=+60,50;-90,20"),
        ("cat@3 points=+1,2,3", "'+1,2,3' is no point", "points=+60,50;-90,20"),
        ("cat@3 points=+1,y", "'y' is no number", "points=+60,50;-90,20"),
        ("cat@3 points=+1", "is no point", "points=+60,50;-90,20"),
    ],
)
def test_bad_syntax_is_told_with_the_right_form(text, problem, form):
    with pytest.raises(PromptError) as refused:
        parse_prompt(text)
    assert problem in str(refused.value)
    assert form in str(refused.value)
    assert str(refused.value).startswith("--prompt ")


def test_a_file_of_prompts(tmp_path):
    (tmp_path / "p.json").write_text(
        json.dumps(
            [
                {"name": "a@b", "label": "Car", "frame": 12, "box": [1, 2, 3, 4.5]},
                {"name": "cat", "frame": 3, "points": [{"x": 1, "y": 2}, {"x": 3, "y": 4, "positive": False}]},
                {"name": "dog", "frame": 0, "mask": "dog.png", "mask_value": 2},
            ]
        )
    )
    path = tmp_path / "p.json"
    assert read_prompts(path) == [
        PromptRequest(f"{path}[0]", "a@b", 12, "Car", box=(1.0, 2.0, 3.0, 4.5)),
        PromptRequest(f"{path}[1]", "cat", 3, points=(Point(1.0, 2.0), Point(3.0, 4.0, positive=False))),
        PromptRequest(f"{path}[2]", "dog", 0, mask=tmp_path / "dog.png", mask_value=2),
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "JSON"),
        (b"\xff\xfe", "JSON"),
        (b'{"name": "cat"}', "list"),
        (b'[{"frame": 1}]', "[0].name"),
        (b'[{"name": "", "frame": 1}]', "[0].name"),
        (b'[{"name": "cat", "frame": 1}, 3]', "[1]"),
        (b'[{"name": "cat", "frame": -1}]', "[0].frame"),
        (b'[{"name": "cat", "frame": "1"}]', "[0].frame"),
        (b'[{"name": "cat", "frame": 1, "box": [1, 2, 3]}]', "[0].box"),
        (b'[{"name": "cat", "frame": 1, "box": [1, 2, 3, "4"]}]', "[0].box[3]"),
        (b'[{"name": "cat", "frame": 1, "points": [[1, 2]]}]', "[0].points[0]"),
        (b'[{"name": "cat", "frame": 1, "bbox": [1, 2, 3, 4]}]', "[0].bbox"),
    ],
)
def test_a_bad_file_of_prompts_is_told_by_place(tmp_path, content, problem):
    path = tmp_path / "p.json"
    path.write_bytes(content)
    with pytest.raises(PromptError) as refused:
        read_prompts(path)
    assert problem in str(refused.value)
    assert str(path) in str(refused.value)
    assert '"box": [40, 30, 120, 90]' in str(refused.value)


def test_a_missing_file_of_prompts(tmp_path):
    with pytest.raises(PromptError, match=r"none\.json: cannot be read"):
        read_prompts(tmp_path / "none.json")


def test_an_object_has_one_label_said_once_or_more():
    requests = [
        parse_prompt(text + " box=1,2,3,4") for text in ("b@0", "a:Car@1", "a@5", "b:Person@4", "c@9", "a:Car@9")
    ]
    assert list(labels_of(requests).items()) == [("b", "Person"), ("a", "Car"), ("c", None)]
    with pytest.raises(PromptError, match=r"'a' is a 'Car' in another prompt"):
        labels_of([*requests, parse_prompt("a:Bus@3 box=1,2,3,4")])


INSIDE = np.zeros((HEIGHT, WIDTH), bool)
INSIDE[3:6, 4:9] = True


def _image(mode: str) -> Image.Image:
    if mode == "P":
        image = Image.fromarray(np.where(INSIDE, 2, 0).astype(np.uint8))
        image.putpalette([0, 0, 0] * 256)  # what the values look like is of no matter
        return image
    if mode == "RGBA":  # white on what is transparent
        return Image.fromarray(np.dstack([np.full(INSIDE.shape, 255)] * 3 + [INSIDE * 255]).astype(np.uint8))
    return Image.fromarray(INSIDE.astype(np.uint8) * 255).convert(mode)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16"])
def test_masks_of_all_kinds_of_images(tmp_path, mode):
    if mode == "LA":
        image = _image("RGBA").convert("LA")
    elif mode == "I;16":
        image = Image.fromarray(INSIDE.astype(np.uint16) * 300)
    else:
        image = _image(mode)
    image.save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png", None, WIDTH, HEIGHT), INSIDE)


def test_one_value_of_an_indexed_mask(tmp_path):
    numbers = np.where(INSIDE, 2, 0).astype(np.uint8)
    numbers[8:10, 2:4] = 1
    Image.fromarray(numbers).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png", 2, WIDTH, HEIGHT), INSIDE)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("missing.png", None, "there is no such file"),
        ("text.png", None, "cannot be read as an image"),
        ("cut.png", None, "cannot be read as an image"),
        (".", None, "cannot be read as an image"),
        ("small.png", None, "is 15 x 12 pixels, the video 16 x 12"),
        ("empty.png", None, "marks nothing: all of it is 0"),
        ("grey.png", 7, "marks nothing: no pixel is 7"),
        ("colours.png", 255, "holds colours, no value 255"),
    ],
)
def test_masks_that_cannot_be_used(tmp_path, name, value, problem):
    (tmp_path / "text.png").write_text("no image")
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "colours.png")
    whole = (tmp_path / "colours.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    Image.fromarray(np.ones((12, 15), np.uint8)).save(tmp_path / "small.png")
    Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint8)).save(tmp_path / "empty.png")
    Image.fromarray(np.ones((HEIGHT, WIDTH), np.uint8)).save(tmp_path / "grey.png")
    request = PromptRequest("--prompt 'x'", "cat", 0, mask=tmp_path / name, mask_value=value)
    with pytest.raises(PromptError) as refused:
        request.load(WIDTH, HEIGHT)
    assert problem in str(refused.value)
    assert "--prompt 'x'" in str(refused.value)


def test_a_box_outside_the_video_is_told_with_the_prompt():
    with pytest.raises(PromptError, match=r"--prompt 'cat@0 box=90,90,99,99': .*outside the 16 x 12 frame"):
        parse_prompt("cat@0 box=90,90,99,99").load(WIDTH, HEIGHT)
