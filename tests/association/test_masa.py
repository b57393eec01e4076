"""What checkpoints are taken, and what of them; trunks and lookups that no reference array shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from segment_anything.modeling.image_encoder import ImageEncoderViT
from torch import Tensor, nn
from torchvision.ops import roi_align

from backend.association.masa import Masa, Variant, load_masa, translate
from backend.association.masa_embedder import MasaEncoder
from backend.association.masa_head import level_of, look_up
from backend.association.masa_trunk import SamTrunk
from backend.errors import WeightsError
from support.golden import empty_state

KEYS: dict[Variant, str] = {"masa_r50": "masa_r50", "masa_sam_b": "masa_sam_vitb", "masa_sam_h": "masa_sam_vith"}


@pytest.fixture(params=KEYS)
def variant(request: pytest.FixtureRequest) -> Variant:
    name: Variant = request.param
    return name


@pytest.fixture
def state(variant: Variant, golden_dir: Path) -> dict[str, Tensor]:
    """The checkpoint's names and shapes."""
    return empty_state(golden_dir, KEYS[variant])


def test_the_official_checkpoints_load(variant: Variant, state: dict[str, Tensor]) -> None:
    network = load_masa(variant, state, "meta", torch.bfloat16)
    assert {parameter.dtype for parameter in network.parameters()} == {torch.bfloat16}
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    assert not network.training


@pytest.mark.parametrize("unused", ["rpn_head.rpn_conv.weight", "roi_head.bbox_head.fc_cls.weight"])
def test_heads_of_training_are_left_out(variant: Variant, state: dict[str, Tensor], unused: str) -> None:
    assert unused in state
    del state[unused]
    load_masa(variant, state, "meta")


@pytest.mark.parametrize("broken", ["missing", "surplus", "shape", "all missing"])
def test_other_weights_are_refused(variant: Variant, state: dict[str, Tensor], broken: str) -> None:
    name = "track_head.embed_head.fc_embed.bias"
    if broken == "missing":
        del state[name]
    elif broken == "surplus":
        state["track_head.embed_head.further.bias"] = state[name]
    elif broken == "shape":
        state[name] = torch.empty(2, device="meta")
    else:
        state.clear()
    with pytest.raises(WeightsError, match=rf"the checkpoint is not {variant}'s"):
        load_masa(variant, state, "meta")


def test_another_variants_weights_are_refused(variant: Variant, state: dict[str, Tensor]) -> None:
    for other in KEYS:
        if other != variant:
            with pytest.raises(WeightsError, match=f"not {other}'s"):
                load_masa(other, state, "meta")


def test_without_its_trunk(variant: Variant, state: dict[str, Tensor]) -> None:
    network = load_masa(variant, state, "meta", trunk=False)
    with pytest.raises(ValueError, match="without its trunk"):
        network.maps(torch.zeros(1, 3, 64, 64))
    # Those of the trunk need not be there either.
    without = {name: value for name, value in state.items() if "backbone." not in name}
    assert len(without) < len(state)
    load_masa(variant, without, "meta", trunk=False)


def test_names_are_told_apart() -> None:
    names = ["backbone.x", "detector.backbone.x", "detector.backbone.neck.0.x", "masa_adapter.0.x", "further.x"]
    given = {name: torch.tensor(number) for number, name in enumerate(names)}
    assert translate({name: given[name] for name in names[1:]}) == {
        "trunk.x": given["detector.backbone.x"],
        "pyramid.x": given["masa_adapter.0.x"],
        "further.x": given["further.x"],
    }
    assert translate({"backbone.x": given["backbone.x"]}, trunk=False) == {}


def test_sizes_of_a_frame(variant: Variant, state: dict[str, Tensor]) -> None:
    network = load_masa(variant, state, "meta")
    network.fusion = nn.Sequential()  # sizes stay as they are, and without content it takes long
    frame = MasaEncoder(network).encode(np.zeros((120, 200, 3), dtype=np.uint8))
    rows, columns = (1024, 1024) if variant != "masa_r50" else (640, 1024)
    assert frame.scaled == (614, 1024)
    assert [level.shape for level in frame.levels] == [(1, 256, rows // n, columns // n) for n in (4, 8, 16, 32)]
    assert frame.nbytes == sum(256 * 4 * (rows // n) * (columns // n) for n in (4, 8, 16, 32))


@torch.inference_mode()
def test_sams_blocks_are_read_where_attention_is_global() -> None:
    torch.manual_seed(0)
    kind = {"embed_dim": 16, "depth": 4, "num_heads": 2, "global_attn_indexes": (1, 3), "out_chans": 8}
    encoder = ImageEncoderViT(
        img_size=320, **kind, norm_layer=lambda width: nn.LayerNorm(width, eps=1e-6), use_rel_pos=True, window_size=14
    ).eval()
    for parameter in encoder.parameters():
        parameter.copy_(0.3 * torch.randn(parameter.shape))
    trunk = SamTrunk(dim=16, depth=4, heads=2, reading=(1, 3), side=320).eval()
    trunk.load_state_dict({name: value for name, value in encoder.state_dict().items() if not name.startswith("neck.")})
    after: list[Tensor] = []
    encoder.blocks[1].register_forward_hook(lambda _, given, made: after.append(made))
    image = torch.randn(1, 3, 320, 320)
    embedding = encoder(image)
    middle, last = trunk(image)
    assert torch.equal(middle, after[0].permute(0, 3, 1, 2))
    assert torch.equal(encoder.neck(last), embedding)


@pytest.mark.parametrize(
    ("width", "height", "level"),
    [
        *((3, 3, 0), (111, 111, 0), (112, 112, 1), (56, 224, 1), (223, 223, 1), (224, 224, 2), (448, 448, 3)),
        *((2000, 2000, 3), (0, 50, 0), (-5, 50, 0), (-50, -50, 0)),
    ],
)
def test_larger_boxes_are_looked_up_on_coarser_levels(width: int, height: int, level: int) -> None:
    assert level_of(torch.tensor([[10.0, 20.0, 10.0 + width, 20.0 + height]])).tolist() == [level]


def test_boxes_are_looked_up_in_their_order() -> None:
    random = torch.Generator().manual_seed(0)
    levels = [torch.randn(1, 2, 128 // n, 128 // n, generator=random) for n in (4, 8, 16, 32, 64)]
    boxes = torch.tensor([[0, 0, 120, 120], [5, 5, 30, 20], [10, 4, 128, 127], [50, 60, 55.5, 99]], dtype=torch.float32)
    found = look_up(levels, boxes)
    for number, level in enumerate(level_of(boxes).tolist()):
        alone = roi_align(levels[level], [boxes[number : number + 1]], 7, 1 / (4, 8, 16, 32)[level], aligned=True)
        assert torch.equal(found[number], alone[0])
    assert look_up(levels, torch.empty(0, 4)).shape == (0, 2, 7, 7)


def test_only_the_resnet_takes_frames_of_other_sizes() -> None:
    with torch.device("meta"):
        network = Masa("masa_sam_b", trunk=False)
    with pytest.raises(ValueError, match="takes frames of 1024 pixels only, not 512"):
        MasaEncoder(network, 512)
