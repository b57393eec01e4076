from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from segment_anything.modeling import Sam
from torch import Tensor, nn

from backend import checkpoints
from backend.errors import WeightsError
from backend.segmentation.build import build_segmenter, fast_dtype
from backend.segmentation.segmenter import CELLS, Encoding, MaskPrompt, Segmenter, scaled_size
from backend.segmentation.tiny_vit import STRIDE, TinyViT, translate
from backend.tracks import Point
from support.clips import moving_boxes_scene

BOX = (12.0, 20.0, 46.0, 46.0)
OTHER = (108.0, 68.0, 140.0, 102.0)


@pytest.fixture(scope="module")
def state(mobile_sam_path) -> dict[str, Tensor]:
    return checkpoints.load_state(mobile_sam_path)


@pytest.fixture(scope="module")
def scene():
    return moving_boxes_scene(1)


@pytest.fixture(scope="module")
def encoding(mobile_sam: Segmenter, scene) -> Encoding:
    return mobile_sam.encode(scene.frames[0])


@pytest.fixture(scope="module")
def logits(mobile_sam: Segmenter, encoding: Encoding) -> Tensor:
    return mobile_sam.segment(encoding, [MaskPrompt(BOX)], multimask=False).logits[0, 0]


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


# --- sizes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "scaled"),
    [
        ((480, 854), (576, 1024)),
        ((854, 480), (1024, 576)),
        ((1024, 1024), (1024, 1024)),
        ((2160, 3840), (576, 1024)),
        ((1, 1), (1024, 1024)),
        ((1, 1024), (1, 1024)),
        ((333, 501), (681, 1024)),
    ],
)
def test_scaled_size(size: tuple[int, int], scaled: tuple[int, int]) -> None:
    assert scaled_size(*size) == scaled


class StrideEncoder(TinyViT):
    """The real shapes at no cost: what it says of a place is the mean of its pixels."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.weight = nn.Parameter(torch.zeros(1))

    def levels(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        pooled = [nn.functional.avg_pool2d(image, n).mean(1, keepdim=True) for n in (16, 8, 4)]
        return pooled[0].expand(-1, 256, -1, -1), pooled[1].expand(-1, 128, -1, -1), pooled[2].expand(-1, 64, -1, -1)


def fake_sam() -> Sam:
    return Sam(StrideEncoder(), nn.Identity(), nn.Identity(), pixel_mean=[100.0] * 3, pixel_std=[50.0] * 3)


@pytest.mark.parametrize(
    ("height", "width", "rows", "columns"),
    [
        (120, 160, 48, 64),
        (160, 120, 64, 48),
        (333, 501, 43, 64),  # 681 scaled rows are 42.6 tokens
        (64, 64, 64, 64),
        (1, 1, 64, 64),
        (3, 2, 64, 43),
        (2160, 3840, 36, 64),
        (100, 2000, 4, 64),
    ],
)
@pytest.mark.parametrize("exact", [False, True])
def test_shapes_of_any_frame(height: int, width: int, rows: int, columns: int, exact: bool) -> None:
    segmenter = Segmenter(fake_sam(), exact=exact)
    found = segmenter.encode(np.zeros((height, width, 3), np.uint8))
    if exact:
        rows = columns = 64
    assert found.size == (height, width)
    assert found.scaled == scaled_size(height, width)
    assert found.embedding.shape == (1, 256, rows, columns)
    assert found.middle is not None
    assert found.middle.shape == (1, 128, 2 * rows, 2 * columns)
    assert found.fine is not None
    assert found.fine.shape == (1, 64, 4 * rows, 4 * columns)
    assert found.grid == (CELLS * rows, CELLS * columns)
    assert segmenter.full_size(torch.zeros(2, *found.grid), found).shape == (2, height, width)


class Block(nn.Module):
    """Adds to every place; the last one may fail, as where memory is short."""

    def __init__(self, window_size: int, added: float) -> None:
        super().__init__()
        self.window_size, self.added, self.fails = window_size, added, False

    def forward(self, x: Tensor) -> Tensor:
        if self.fails:
            raise RuntimeError("no memory")
        return x + self.added


class BlocksEncoder(nn.Module):
    """A ViT's shapes: every second block has global attention."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(14 * (number % 2 == 0), 10.0**number) for number in range(4)])

    def forward(self, image: Tensor) -> Tensor:
        x = nn.functional.avg_pool2d(image, 16).mean(1).unsqueeze(-1)
        for block in self.blocks:
            x = block(x)
        return x.permute(0, 3, 1, 2).expand(-1, 256, -1, -1)


def test_blocks_with_global_attention_are_kept_where_that_is_asked_for() -> None:
    encoder = BlocksEncoder()
    segmenter = Segmenter(Sam(encoder, nn.Identity(), nn.Identity(), pixel_mean=[0.0] * 3), blocks=True)
    black = np.zeros((64, 64, 3), np.uint8)
    encoder.blocks[3].fails = True
    with pytest.raises(RuntimeError, match="no memory"):
        segmenter.encode(black)
    encoder.blocks[3].fails = False
    for _ in range(2):  # what an earlier frame left is not taken for this one's
        kept = segmenter.encode(black).blocks
        assert [(block.shape, float(block.mean())) for block in kept] == [((1, 1, 64, 64), 11), ((1, 1, 64, 64), 1111)]
    assert Segmenter(Sam(encoder, nn.Identity(), nn.Identity())).encode(black).blocks == ()


def test_padding_is_zero_and_what_is_kept_is_the_picture() -> None:
    """681 rows are 42.56 tokens: the last row of tokens is partly padding, which is black only once normalised."""
    segmenter = Segmenter(fake_sam())
    found = segmenter.encode(np.full((333, 501, 3), 150, np.uint8))
    column = found.embedding[0, 0, :, 5]
    assert column[:42] == pytest.approx(1.0)
    assert column[42] == pytest.approx((681 - 42 * STRIDE) / STRIDE)


@pytest.mark.parametrize("size", [(120, 160), (160, 120), (90, 90), (333, 501)])
def test_full_size_puts_every_cell_in_its_place(size: tuple[int, int]) -> None:
    segmenter = Segmenter(fake_sam())
    encoding = segmenter.encode(np.zeros((*size, 3), np.uint8))
    rows, columns = encoding.grid
    ramps = torch.stack(torch.meshgrid(torch.arange(float(rows)), torch.arange(float(columns)), indexing="ij"))
    y, x = segmenter.full_size(ramps, encoding)
    # The centre of pixel p of the frame is cell (p + 1/2) * scale / 4 - 1/2.
    scale = 1024 / max(size) / 4
    inner = slice(4, -4)
    expected = (torch.arange(size[0]) + 0.5) * scale - 0.5
    assert y[inner, size[1] // 2] == pytest.approx(expected[inner], abs=0.1)
    expected = (torch.arange(size[1]) + 0.5) * scale - 0.5
    assert x[size[0] // 2, inner] == pytest.approx(expected[inner], abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(7, 5), (2160, 3840)])
def test_the_real_encoder_takes_any_frame(mobile_sam: Segmenter, size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)
    encoding = mobile_sam.encode(image)
    found = mobile_sam.segment(encoding, [MaskPrompt((0, 0, size[1] / 2, size[0] / 2))], multimask=False)
    assert found.logits.shape == (1, 1, *encoding.grid)
    assert bool(found.logits.isfinite().all())
    assert mobile_sam.full_size(found.logits[0], encoding).shape == (1, *size)


def test_leaving_out_the_padding_changes_little(mobile_sam: Segmenter, state, scene, encoding: Encoding) -> None:
    exact = build_segmenter("mobile_sam", state, exact=True)
    whole = exact.encode(scene.frames[0])
    assert whole.embedding.shape == (1, 256, 64, 64)
    assert encoding.embedding.shape == (1, 256, 48, 64)
    inner = whole.embedding[..., :40, :]
    cosine = torch.cosine_similarity(encoding.embedding[..., :40, :], inner, dim=1)
    assert float(cosine.min()) > 0.95
    for segmenter, one in ((exact, whole), (mobile_sam, encoding)):
        found = segmenter.segment(one, [MaskPrompt(BOX)], multimask=False)
        mask = (segmenter.full_size(found.logits[0], one)[0] > 0).numpy()
        assert iou(mask, scene.masks["red"][0]) > 0.9


# --- prompts -----------------------------------------------------------------------------------


def kinds(logits: Tensor) -> dict[str, list[MaskPrompt]]:
    red, blue = Point(29, 33), Point(124, 85)
    return {
        "point": [MaskPrompt(points=(red,)), MaskPrompt(points=(blue,))],
        "two points": [
            MaskPrompt(points=(red, Point(*OTHER[:2], positive=False))),
            MaskPrompt(points=(blue, Point(80.5, 60.25))),
        ],
        "box": [MaskPrompt(BOX), MaskPrompt(OTHER)],
        "point and box": [MaskPrompt(BOX, (red,)), MaskPrompt(OTHER, (Point(3, 3, positive=False),))],
        "logits": [MaskPrompt(logits=logits), MaskPrompt(logits=logits.flip(1))],
        "everything": [MaskPrompt(BOX, (red,), logits), MaskPrompt(OTHER, (blue,), -logits)],
    }


KINDS = ["point", "two points", "box", "point and box", "logits", "everything"]


def assert_same(one: Tensor, other: Tensor) -> None:
    assert one.shape == other.shape
    # Another batch size may mean another order of additions; logits range over some tens.
    torch.testing.assert_close(one, other, rtol=0, atol=2e-3)


@pytest.mark.parametrize(("kind", "multimask"), [*((kind, True) for kind in KINDS), ("point and box", False)])
def test_a_batch_equals_single_calls(
    mobile_sam: Segmenter, encoding: Encoding, logits: Tensor, kind: str, multimask: bool
) -> None:
    prompts = kinds(logits)[kind]
    batch = mobile_sam.segment(encoding, prompts, multimask=multimask)
    assert batch.logits.shape == (2, 3 if multimask else 1, *encoding.grid)
    assert batch.iou.shape == (2, 3 if multimask else 1)
    for row, prompt in enumerate(prompts):
        single = mobile_sam.segment(encoding, [prompt], multimask=multimask)
        assert_same(batch.logits[row], single.logits[0])
        assert_same(batch.iou[row], single.iou[0])
    assert float((batch.logits[0] - batch.logits[1]).abs().max()) > 1


def test_prompts_of_many_kinds_keep_their_order(mobile_sam: Segmenter, encoding: Encoding, logits: Tensor) -> None:
    columns = list(kinds(logits).values())
    mixed = [column[0] for column in columns] + [column[1] for column in columns]
    found = mobile_sam.segment(encoding, mixed)
    for row, column in enumerate(columns):
        expected = mobile_sam.segment(encoding, column)
        for half in (0, 1):
            assert_same(found.logits[row + half * len(columns)], expected.logits[half])
            assert_same(found.iou[row + half * len(columns)], expected.iou[half])


@pytest.mark.parametrize(("multimask", "count"), [(True, 3), (False, 1)])
def test_no_prompt(mobile_sam: Segmenter, encoding: Encoding, multimask: bool, count: int) -> None:
    found = mobile_sam.segment(encoding, [], multimask=multimask)
    assert found.logits.shape == (0, count, *encoding.grid)
    assert found.iou.shape == (0, count)


def test_a_box_and_a_click_find_the_object(mobile_sam: Segmenter, encoding: Encoding, scene) -> None:
    prompts = [MaskPrompt(BOX, (Point(29, 33),)), MaskPrompt(OTHER, (Point(124, 85),))]
    found = mobile_sam.segment(encoding, prompts, multimask=False)
    masks = (mobile_sam.full_size(found.logits[:, 0], encoding) > 0).numpy()
    for mask, name in zip(masks, ("red", "blue"), strict=True):
        assert iou(mask, scene.masks[name][0]) > 0.9


def test_a_negative_click_is_not_a_positive_one(mobile_sam: Segmenter, encoding: Encoding) -> None:
    def area(positive: bool) -> int:
        prompt = MaskPrompt((0, 0, 159, 119), (Point(29, 33), Point(124, 85, positive)))
        found = mobile_sam.segment(encoding, [prompt], multimask=False)
        return int((mobile_sam.full_size(found.logits[0], encoding)[0] > 0)[70:100, 112:138].sum())

    assert area(False) < area(True)


# --- weights -----------------------------------------------------------------------------------


def encoder_part(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    prefix = "image_encoder."
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def test_translation_names_every_tensor_once(state) -> None:
    inner = encoder_part(state)
    translated = translate(inner)
    ours = TinyViT().state_dict()
    assert {name: value.shape for name, value in translated.items()} == {n: v.shape for n, v in ours.items()}
    head = [name for name in inner if name.startswith(("head.", "norm_head."))]
    assert len(translated) == len(inner) - len(head)


def test_folding_the_normalisations_keeps_the_function() -> None:
    torch.manual_seed(0)
    encoder = TinyViT().eval()
    for name, buffer in encoder.named_buffers():
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 2.0)
        elif name.endswith("running_mean"):
            buffer.normal_(0, 0.5)
    image = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        before = encoder.levels(image)
        encoder.fold()
        after = encoder.levels(image)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in encoder.modules())
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("wrong", ["missing", "unexpected", "shape", "nothing", "encoder"])
def test_weights_of_something_else_are_refused(state, wrong: str) -> None:
    broken = dict(state)
    name = "mask_decoder.iou_token.weight"
    if wrong == "missing":
        del broken[name]
    elif wrong == "unexpected":
        broken["track_head.weight"] = torch.zeros(1)
    elif wrong == "shape":
        broken[name] = torch.zeros(2, 2)
    elif wrong == "encoder":
        del broken["image_encoder.neck.0.weight"]
    else:
        broken = {}
    with pytest.raises(WeightsError, match=r"(?s)not mobile_sam's.*fetch it again"):
        build_segmenter("mobile_sam", broken)


def test_weights_are_not_changed_by_loading(state) -> None:
    before = {name: value.clone() for name, value in list(state.items())[:40]}
    build_segmenter("mobile_sam", state)
    for name, value in before.items():
        assert torch.equal(state[name], value)


def test_the_fast_type_suits_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    for supported, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda answer=supported: answer, raising=False)
        assert fast_dtype("cpu") == expected
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported")
    assert fast_dtype("cpu") == torch.float32
