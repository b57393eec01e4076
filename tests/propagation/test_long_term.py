"""What is consolidated and forgotten, with tokens that are only names; and prototypes, with keys of noise."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from backend.propagation.affinity import AnisotropicKeys, attend
from backend.propagation.long_term import Consolidating, forget_least_used, usage_of
from backend.propagation.memory import MemoryBank, Records, Remembered
from backend.propagation.prototypes import summarise

TOKENS = 6


@dataclass(eq=False)
class Names:
    """Tokens that are called something."""

    names: list[str]

    def __len__(self) -> int:
        return len(self.names)

    def take(self, index: Tensor) -> Names:
        return Names([self.names[i] for i in index.tolist()])


def record(frame: int, use: list[float] | None, *objects: str, readings: int = 1) -> Remembered[Names]:
    count = TOKENS if use is None else len(use)
    values = {name: torch.arange(count).float()[:, None] for name in objects}
    names = Names([f"{frame}.{i}" for i in range(count)])
    return Remembered(frame, names, values, False, None if use is None else torch.tensor(use), readings)


def names_of(records: Records[Names]) -> list[str]:
    return [name for one in records for name in one.keys.names]


def firsts(leaving: Records[Names], count: int) -> Records[Names]:
    """A summary that is easy to foresee: the first tokens of the first frame, never read so far."""
    return [
        Remembered(
            leaving[0].frame,
            Names(leaving[0].keys.names[:count]),
            {name: value[:count] for name, value in leaving[0].values.items()},
            False,
        )
    ]


def bank_of(**rules: int) -> MemoryBank[Names]:
    chosen = {"most": 4, "least": 2, "prototypes": 2, "limit": 6} | rules
    return MemoryBank(Consolidating(summarise=firsts, **chosen))


def written(bank: MemoryBank[Names], frames: range) -> None:
    for frame in frames:
        bank.write(frame, Names([f"{frame}.{i}" for i in range(TOKENS)]), {"a": torch.zeros(TOKENS, 1)})


def test_frames_are_consolidated_when_there_are_too_many() -> None:
    bank = bank_of()
    written(bank, range(3))
    assert [one.frame for one in bank.read(0)] == [0, 1, 2]
    written(bank, range(3, 4))
    assert next(one.keys.names for one in bank.read(0)) == ["0.0", "0.1"]
    assert [one.frame for one in bank.read(0)][1:] == [2, 3]


def test_one_frame_may_stay_or_none() -> None:
    for least in (0, 1):
        bank = bank_of(least=least)
        written(bank, range(4))
        assert [one.frame for one in bank.read(0)] == [0, 3][: least + 1]


def test_permanent_frames_are_never_consolidated() -> None:
    bank = bank_of()
    for frame in range(100, 110):
        bank.write(frame, Names(["x"]), {"a": torch.zeros(1, 1)}, permanent=True)
    written(bank, range(20))
    for frame in range(100, 110):
        assert frame in [one.frame for one in bank.read(frame)]


def test_what_is_kept_is_bounded_however_long_it_goes_on() -> None:
    bank = bank_of()
    for frame in range(300):
        written(bank, range(frame, frame + 1))
        records = list(bank.read(frame))
        assert sum(len(one.keys) for one in records if len(one.keys) < TOKENS) <= 6
        assert sum(len(one.keys) == TOKENS for one in records) < 4
        for one in records:
            one.count(torch.rand(len(one.keys)))


def test_the_least_used_are_forgotten() -> None:
    records = [record(1, [0.5, 0.1, 0.9]), record(2, [0.2, 0.3, 0.4])]
    assert names_of(forget_least_used(records, 3)) == ["1.0", "1.2", "2.2"]
    assert names_of(forget_least_used(records, 1)) == ["1.2"]
    assert names_of(forget_least_used(records, 6)) == names_of(records)
    assert forget_least_used(records, 0) == []


def test_use_counts_per_reading() -> None:
    records = [record(1, [3.0, 8.0], readings=10), record(2, [0.5, 0.2], readings=1)]
    assert names_of(forget_least_used(records, 2)) == ["1.1", "2.0"]


def test_of_equally_used_ones_all_or_none_are_kept() -> None:
    records = [record(1, [0.0, 0.0, 1.0]), record(2, None, "a")]
    assert names_of(forget_least_used(records, 4)) == ["1.2"]


def test_values_and_use_go_with_their_tokens() -> None:
    (kept,) = forget_least_used([record(1, [0.5, 0.1, 0.9], "a", "b", readings=3)], 2)
    assert {name: value[:, 0].tolist() for name, value in kept.values.items()} == {"a": [0, 2], "b": [0, 2]}
    assert usage_of(kept).tolist() == pytest.approx([0.5 / 3, 0.3])


def test_objects_of_different_frames_are_forgotten_by_one_rule() -> None:
    """The original cannot do this at all."""
    records = [record(1, [0.9, 0.1], "a"), record(2, [0.8, 0.2], "a", "b"), record(3, [0.3, 0.7], "b")]
    kept = forget_least_used(records, 3)
    assert names_of(kept) == ["1.0", "2.0", "3.1"]
    assert [sorted(one.values) for one in kept] == [["a"], ["a", "b"], ["b"]]


def test_an_object_that_leaves_takes_nothing_of_the_others() -> None:
    bank = bank_of(limit=20)
    for frame in range(12):
        objects = {"a": torch.full((TOKENS, 1), float(frame))}
        if frame >= 4:
            objects["b"] = torch.full((TOKENS, 1), -float(frame))
        bank.write(frame, Names([f"{frame}.{i}" for i in range(TOKENS)]), objects)
    before = [(one.frame, one.values["a"]) for one in bank.read(0) if "a" in one.values]
    bank.forget_object("b")
    after = [(one.frame, one.values["a"]) for one in bank.read(0)]
    assert len(before) == len(after) > 3
    assert all(one == other and mine is theirs for (one, mine), (other, theirs) in zip(before, after, strict=True))


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def noisy(frame: int, *objects: str) -> Remembered[AnisotropicKeys]:
    keys = AnisotropicKeys.of(noise(frame, TOKENS, 8), 1 + noise(frame + 50, TOKENS) ** 2, noise(frame, TOKENS, 8) ** 2)
    values = {name: noise(frame + 100 * i, TOKENS, 4) for i, name in enumerate(objects, 1)}
    return Remembered(frame, keys, values, False, noise(frame + 7, TOKENS).abs(), 2)


def test_prototypes_are_the_most_used_tokens_and_mean_what_is_like_them() -> None:
    leaving = [noisy(1, "a", "b"), noisy(2, "a", "b")]
    (found,) = summarise(leaving, 5)
    usage = torch.cat([usage_of(one) for one in leaving])
    chosen = usage.argsort(descending=True)[:5]
    assert torch.equal(found.keys.key, torch.cat([one.keys.key for one in leaving])[chosen])
    # As the paper puts it: k_i and s_i of the candidates, q_j and e_j of the prototypes.
    key = torch.cat([one.keys.key for one in leaving])
    shrinkage = torch.cat([one.keys.shrinkage for one in leaving])
    selection = torch.cat([one.keys.selection for one in leaving])[chosen]
    distance = (selection[:, None] * (key[None] - key[chosen][:, None]) ** 2).sum(2)
    affinity = torch.softmax(-shrinkage * distance / 8**0.5, 1)
    for name in ("a", "b"):
        expected = affinity @ torch.cat([one.values[name] for one in leaving])
        torch.testing.assert_close(found.values[name], expected)
    torch.testing.assert_close(found.keys.shrinkage, affinity @ shrinkage)
    assert found.use is None
    assert found.readings == 0


def test_a_prototype_says_nothing_of_objects_that_its_frame_did_not_know() -> None:
    leaving = [noisy(1, "a"), noisy(2, "a", "b"), noisy(3, "a", "b")]
    records = summarise(leaving, 12)
    assert [sorted(one.values) for one in records] == [["a"], ["a", "b"]]
    assert sum(len(one.keys) for one in records) == 12
    # What it says of one object is drawn from the frames that know it, and does not depend on the other.
    (only_b,) = [one for one in records if "b" in one.values]
    for one in leaving:
        one.values.pop("b", None)
    (alone,) = summarise(leaving, 12)
    together = torch.cat([one.values["a"] for one in records])
    order = alone.values["a"][:, 0].argsort(), together[:, 0].argsort()
    torch.testing.assert_close(alone.values["a"][order[0]], together[order[1]])
    later = [noisy(2, "a", "b"), noisy(3, "a", "b")]
    said = torch.cat([one.values["b"] for one in later])
    assert only_b.values["b"].shape[1] == 4
    assert bool((only_b.values["b"] >= said.amin(0)).all() and (only_b.values["b"] <= said.amax(0)).all())


def test_fewer_tokens_than_prototypes_are_all_kept() -> None:
    (found,) = summarise([noisy(1, "a")], 128)
    assert len(found.keys) == TOKENS


def test_attention_is_the_same_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    memory, query = noisy(1, "a").keys, noisy(2, "a").keys
    whole = attend(query.queries(), memory.rows, 3)
    monkeypatch.setattr("backend.propagation.affinity._BLOCK", 2 * TOKENS)
    blocks = attend(query.queries(), memory.rows, 3)
    values = noise(9, TOKENS, 4)
    torch.testing.assert_close(whole.read(values), blocks.read(values))
    torch.testing.assert_close(whole.usage(), blocks.usage())
    assert float(whole.usage().sum()) == pytest.approx(TOKENS)
