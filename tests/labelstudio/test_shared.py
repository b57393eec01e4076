"""Things that are shared for as long as somebody needs them."""

from __future__ import annotations

import threading

from backend.labelstudio.shared import Shared


def test_those_who_use_a_thing_at_a_time_have_the_same_one_and_nothing_is_left_after_them() -> None:
    shared: Shared[str, object] = Shared(threading.Lock)
    with shared.use("a") as first, shared.use("b") as other:
        with shared.use("a") as second:
            assert second is first is not other
        assert len(shared) == 2
        with shared.use("a") as third:
            assert third is first
    assert len(shared) == 0
