"""Each target for a moment, by the same choices in every run; CONTRIBUTING.md has how to go on for hours."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.choosing import Choices
from fuzz.seeds import SEEDS
from fuzz.targets import TARGETS, run


@pytest.mark.parametrize("name", TARGETS)
@settings(
    max_examples=100, derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.data_too_large]
)
@given(data=st.binary(max_size=120))
def test_whatever_comes_leads_to_a_result_or_to_an_error_for_people(name: str, data: bytes) -> None:
    run(name, data)


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_valid_leads_to_a_result(name: str) -> None:
    """Without any byte nothing is damaged: what is fuzzed begins where it should."""
    TARGETS[name](Choices(b""))


@pytest.mark.parametrize(("name", "seed"), [(name, seed) for name, seeds in SEEDS.items() for seed in seeds])
def test_what_was_found_by_longer_runs(name: str, seed: str) -> None:
    run(name, bytes.fromhex(seed))
