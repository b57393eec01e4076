from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.association.identity import Gallery, find_again
from backend.association.sam_features import CALIBRATION, EMBEDDING, FINE, MIDDLE, SamFeatures, Stage
from backend.segmentation.segmenter import Encoding, Segmenter
from backend.tracks import Box, Mask
from support import golden
from support.encodings import noise_encoding

GOLDEN = Path(__file__).parents[1] / "golden"
HEIGHT, WIDTH = 75, 100  # of noise_encoding; a token is 12.5 pixels


def painted(patches: dict[Box, int], seed: int = 0) -> Encoding:
    """Faint noise in which each box, on every stage, has one look; boxes end where cells do."""
    encoding = noise_encoding(seed)
    stages = {}
    for stage in (EMBEDDING, MIDDLE, FINE):
        features = getattr(encoding, stage.name) * 0.1
        cell = 12.5 / stage.cells
        for (x0, y0, x1, y1), kind in patches.items():
            look = torch.randn(stage.channels, generator=torch.Generator().manual_seed(kind))
            rows, columns = slice(round(y0 / cell), round(y1 / cell)), slice(round(x0 / cell), round(x1 / cell))
            features[0, :, rows, columns] += look[:, None, None]
        stages[stage.name] = features
    return replace(encoding, **stages)


def boxes(*given: Box) -> torch.Tensor:
    return torch.tensor(given, dtype=torch.float32)


def filled(box: Box) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    x0, y0, x1, y1 = (round(side) for side in box)
    mask[y0:y1, x0:x1] = True
    return mask


LEFT, RIGHT = (12.5, 12.5, 37.5, 50.0), (62.5, 25.0, 87.5, 62.5)
EVERY = [(EMBEDDING,), (MIDDLE,), (FINE,), (EMBEDDING, MIDDLE, FINE)]


@pytest.mark.parametrize("stages", EVERY, ids=lambda stages: "+".join(stage.name for stage in stages))
@pytest.mark.parametrize("masked", [False, True], ids=["boxes", "masks"])
def test_an_object_is_like_itself_elsewhere_and_unlike_another(stages: tuple[Stage, ...], masked: bool) -> None:
    embedder = SamFeatures(stages)
    masks = [filled(LEFT), filled(RIGHT)] if masked else None
    before = embedder.embed(painted({LEFT: 1, RIGHT: 2}), boxes(LEFT, RIGHT), masks)
    after = embedder.embed(painted({LEFT: 2, RIGHT: 1}, seed=5), boxes(LEFT, RIGHT), masks)
    assert before.shape == (2, embedder.dimensions) == (2, sum(stage.channels for stage in stages))
    assert before.dtype == torch.float32
    alike = before @ after.T
    assert min(alike[0, 1], alike[1, 0]) > 0.9
    assert max(alike[0, 0], alike[1, 1]) < 0.5
    torch.testing.assert_close(before.norm(dim=1), torch.ones(2))


def test_of_two_in_one_box_each_mask_takes_its_own() -> None:
    half, rest = (25.0, 12.5, 50.0, 50.0), (50.0, 12.5, 75.0, 50.0)
    whole = (25.0, 12.5, 75.0, 50.0)
    embedder = SamFeatures()
    both = embedder.embed(painted({half: 1, rest: 2}), boxes(whole, whole), [filled(half), filled(rest)])
    alone = embedder.embed(painted({half: 1}), boxes(half))
    assert both[0] @ alone[0] > 0.9
    assert both[1] @ alone[0] < 0.3


def test_the_rim_of_a_mask_counts_less_than_its_inside() -> None:
    """The mask goes two pixels beyond the object on all sides."""
    encoding = painted({LEFT: 1})
    x0, y0, x1, y1 = LEFT
    wide = filled((x0 - 2, y0 - 2, x1 + 2, y1 + 2))
    exact, loose = SamFeatures().embed(encoding, boxes(LEFT, LEFT), [filled(LEFT), wide])
    assert exact @ loose > 0.9995  # 0.9989 if it counted as much


def test_without_a_mask_the_middle_of_a_box_counts() -> None:
    """The object fills the middle of its box, a quarter of it."""
    inside, box = (37.5, 25.0, 62.5, 50.0), (25.0, 12.5, 75.0, 62.5)
    found = SamFeatures().embed(painted({inside: 1}), boxes(box))
    alone = SamFeatures().embed(painted({inside: 1}), boxes(inside))
    assert found[0] @ alone[0] > 0.8


@pytest.mark.parametrize("mask", [None, np.zeros((HEIGHT, WIDTH), bool)], ids=["none", "empty"])
def test_where_there_is_no_mask_the_box_counts(mask: np.ndarray | None) -> None:
    encoding = painted({LEFT: 1, RIGHT: 2})
    found = SamFeatures().embed(encoding, boxes(LEFT, RIGHT), [mask, filled(RIGHT)])
    torch.testing.assert_close(found[:1], SamFeatures().embed(encoding, boxes(LEFT)))


def test_what_is_smaller_than_a_cell_has_a_look_too() -> None:
    found = SamFeatures().embed(noise_encoding(), boxes((40.0, 40.0, 41.0, 41.0)))
    torch.testing.assert_close(found.norm(dim=1), torch.ones(1))
    dot = np.zeros((HEIGHT, WIDTH), bool)
    dot[40, 40] = True
    found = SamFeatures().embed(noise_encoding(), boxes((40.0, 40.0, 41.0, 41.0)), [dot])
    torch.testing.assert_close(found.norm(dim=1), torch.ones(1))


def test_what_lies_outside_the_picture_has_none() -> None:
    assert SamFeatures().embed(noise_encoding(), boxes((-40.0, 0.0, -5.0, 9.0))).count_nonzero() == 0


def test_the_padding_is_not_part_of_the_picture() -> None:
    """A segmenter that encodes the whole square has tokens beyond the picture."""
    small = noise_encoding()
    square = noise_encoding(grid=(8, 8))
    for name, cells in (("embedding", 1), ("middle", 2), ("fine", 4)):
        getattr(square, name)[..., : 6 * cells, : 8 * cells] = getattr(small, name)
    torch.testing.assert_close(
        SamFeatures().embed(square, boxes(LEFT, RIGHT)), SamFeatures().embed(small, boxes(LEFT, RIGHT))
    )


def test_no_objects() -> None:
    assert SamFeatures().embed(noise_encoding(), torch.zeros(0, 4)).shape == (0, 192)


def test_an_encoder_without_the_stages_is_refused() -> None:
    plain = replace(noise_encoding(), middle=None, fine=None)
    assert SamFeatures((EMBEDDING,)).embed(plain, boxes(LEFT)).shape == (1, 256)
    with pytest.raises(TypeError, match="no stage 'middle'"):
        SamFeatures().embed(plain, boxes(LEFT))


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="a mask of"):
        SamFeatures().embed(noise_encoding(), boxes(LEFT), [np.ones((8, 8), bool)])


def test_objects_are_known_again_with_real_weights(mobile_sam: Segmenter) -> None:
    """Three textured ellipses that move and hide one another, 20 frames apart."""
    embeddings = []
    for frame in (0, 20):
        image, labels = golden.golden_weights(GOLDEN).synth_frame(3, frame, 240, 426)
        masks = [labels == label for label in (1, 2, 3)]
        assert min(int(mask.sum()) for mask in masks) > 200
        tight = [Mask.from_array(mask).box for mask in masks]
        embeddings.append(SamFeatures().embed(mobile_sam.encode(image), torch.tensor(tight), masks))
    alike = embeddings[0] @ embeddings[1].T
    assert alike.argmax(1).tolist() == alike.argmax(0).tolist() == [0, 1, 2]
    assert alike.diagonal().min() > 0.5
    gallery = Gallery()
    gallery.add(0.0, embeddings[0][1])
    assert find_again(gallery, embeddings[1], CALIBRATION) == 1
