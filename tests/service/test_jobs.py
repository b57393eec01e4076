from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from backend.errors import BusyError, UnavailableError, VideoError, WorkerLostError
from backend.service.job import MOST_LOSSES
from backend.service.jobs import IDLE_PREPARING_AT_ONCE, WAITING_AT_ONCE, Job, Jobs
from support.fake_tracker import PATIENCE


class Steps:
    """Work whose every step waits for a permit, and which keeps a diary."""

    def __init__(self, name: str, count: int, diary: list[str], *, gated: bool = False) -> None:
        self.name = name
        self.count = count
        self.diary = diary
        self.permits = threading.Semaphore(0 if gated else count)
        self.prepared = threading.Event()
        self.started = threading.Event()
        self.closed = threading.Event()
        self.hold_prepare = threading.Event()
        self.hold_prepare.set()
        self.fails: Exception | None = None
        self.fails_to_prepare: Exception | None = None

    def prepare(self, job: Job) -> None:
        assert self.hold_prepare.wait(PATIENCE)
        if self.fails_to_prepare is not None:
            raise self.fails_to_prepare
        self.prepared.set()

    def steps(self, job: Job) -> Iterator[object]:
        self.started.set()
        try:
            for index in range(self.count):
                assert self.permits.acquire(timeout=PATIENCE)
                if self.fails is not None:
                    raise self.fails
                self.diary.append(f"{self.name}{index}")
                yield index
        finally:
            self.closed.set()


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    queue = Jobs()
    yield queue
    queue.close(timeout=PATIENCE)


def deadline(seconds: float = PATIENCE) -> float:
    return time.monotonic() + seconds


def eventually(condition: Callable[[], bool]) -> None:
    limit = deadline()
    while not condition():
        assert time.monotonic() < limit, "it never came about"
        time.sleep(0.002)


def test_a_job_runs_to_its_end(jobs: Jobs) -> None:
    diary: list[str] = []
    work = Steps("a", 3, diary)
    job = jobs.submit("a", work, ["x"])
    assert jobs.wait({"x": job}, deadline())
    assert diary == ["a0", "a1", "a2"]
    assert (job.status, job.error, len(jobs), jobs.owner("x")) == ("done", None, 0, None)
    assert work.closed.is_set()


def test_a_wait_ends_at_its_deadline_and_the_job_goes_on(jobs: Jobs) -> None:
    diary: list[str] = []
    work = Steps("a", 2, diary, gated=True)
    job = jobs.submit("a", work, ["x"])
    assert not jobs.wait({"x": job}, deadline(0.02))
    assert job.live
    work.permits.release(2)
    assert jobs.wait({"x": job}, deadline())
    assert diary == ["a0", "a1"]


def held(jobs: Jobs, diary: list[str]) -> Steps:
    """A job that keeps the worker busy in its first step, so that others can queue up behind it."""
    work = Steps("held", 1, diary, gated=True)
    jobs.submit("held", work)
    assert work.started.wait(PATIENCE)
    return work


def test_a_job_that_is_waited_for_goes_first(jobs: Jobs) -> None:
    diary: list[str] = []
    blocker = held(jobs, diary)
    background, urgent = Steps("b", 3, diary), Steps("u", 3, diary)
    first = jobs.submit("b", background, ["b"])
    second = jobs.submit("u", urgent, ["u"])
    eventually(lambda: first.status == second.status == "ready")
    waiter = threading.Thread(target=jobs.wait, args=({"u": second}, deadline()))
    waiter.start()
    eventually(lambda: second.waiters == 1)
    blocker.permits.release()
    waiter.join(PATIENCE)
    assert jobs.wait({"b": first}, deadline())
    assert diary == ["held0", "u0", "u1", "u2", "b0", "b1", "b2"]


def test_a_job_that_is_attended_goes_first_meanwhile(jobs: Jobs) -> None:
    diary: list[str] = []
    blocker = held(jobs, diary)
    older, attended = Steps("o", 2, diary), Steps("a", 3, diary, gated=True)
    first, second = jobs.submit("o", older, ["o"]), jobs.submit("a", attended, ["a"])
    eventually(lambda: first.status == second.status == "ready")
    with jobs.attended([second]):
        attended.permits.release(2)
        blocker.permits.release()
        eventually(lambda: "a1" in diary)
    attended.permits.release()
    assert jobs.wait({"o": first, "a": second}, deadline())
    assert diary[:3] == ["held0", "a0", "a1"]
    assert (first.waiters, second.waiters) == (0, 0)


def test_jobs_that_are_waited_for_are_done_one_after_the_other(jobs: Jobs) -> None:
    diary: list[str] = []
    blocker = held(jobs, diary)
    a = jobs.submit("a", Steps("a", 3, diary), ["a"])
    b = jobs.submit("b", Steps("b", 3, diary), ["b"])
    eventually(lambda: a.status == b.status == "ready")
    waiters = [threading.Thread(target=jobs.wait, args=({job.name: job}, deadline())) for job in (a, b)]
    for waiter in waiters:
        waiter.start()
    eventually(lambda: a.waiters == b.waiters == 1)
    blocker.permits.release()
    for waiter in waiters:
        waiter.join(PATIENCE)
    assert diary == ["held0", "a0", "a1", "a2", "b0", "b1", "b2"]


def test_background_jobs_run_one_after_the_other(jobs: Jobs) -> None:
    diary: list[str] = []
    blocker = held(jobs, diary)
    a = jobs.submit("a", Steps("a", 2, diary))
    b = jobs.submit("b", Steps("b", 2, diary))
    eventually(lambda: a.status == b.status == "ready")
    blocker.permits.release()
    eventually(lambda: len(jobs) == 0)
    assert diary == ["held0", "a0", "a1", "b0", "b1"]


def test_idle_jobs_run_when_there_is_nothing_else_to_do(jobs: Jobs) -> None:
    diary: list[str] = []
    blocker = held(jobs, diary)
    idle = jobs.submit("i", Steps("i", 2, diary), idle=True)
    later = jobs.submit("a", Steps("a", 2, diary))
    eventually(lambda: idle.status == later.status == "ready")
    blocker.permits.release()
    eventually(lambda: len(jobs) == 0)
    assert diary == ["held0", "a0", "a1", "i0", "i1"]


def test_a_newer_job_replaces_the_older_one_with_the_same_keys(jobs: Jobs) -> None:
    diary: list[str] = []
    old = Steps("old", 5, diary, gated=True)
    older = jobs.submit("old", old, ["x"])
    assert old.started.wait(PATIENCE)
    newer = jobs.submit("new", Steps("new", 1, diary), ["x"])
    assert jobs.owner("x") is newer
    assert older.cancelled() and not older.owns("x")
    old.permits.release()
    assert jobs.wait({"x": newer}, deadline())
    eventually(lambda: not older.live)
    assert older.status == "cancelled"
    assert old.closed.is_set()
    assert diary == ["old0", "new0"]


def test_a_job_keeps_the_keys_that_were_not_taken(jobs: Jobs) -> None:
    diary: list[str] = []
    old = Steps("old", 2, diary, gated=True)
    older = jobs.submit("old", old, ["x", "y"])
    assert old.started.wait(PATIENCE)
    newer = jobs.submit("new", Steps("new", 1, diary), ["x"])
    assert not older.cancelled()
    assert (older.owns("x"), older.owns("y")) == (False, True)
    assert (jobs.owner("x"), jobs.owner("y")) == (newer, older)
    old.permits.release(2)
    assert jobs.wait({"x": newer, "y": older}, deadline())
    assert (older.status, newer.status) == ("done", "done")


def test_whoever_waits_for_a_key_that_is_taken_is_let_go(jobs: Jobs) -> None:
    old = Steps("old", 2, [], gated=True)
    older = jobs.submit("old", old, ["x", "y"])
    outcome: list[bool] = []
    waiter = threading.Thread(target=lambda: outcome.append(jobs.wait({"x": older}, deadline())))
    waiter.start()
    eventually(lambda: older.waiters == 1)
    jobs.cancel(["x"])
    waiter.join(PATIENCE)
    assert outcome == [True]
    assert older.live
    old.permits.release(2)


def test_cancelling_a_job_that_prepares_ends_it_at_once(jobs: Jobs) -> None:
    work = Steps("a", 1, [])
    work.hold_prepare.clear()
    job = jobs.submit("a", work, ["x"])
    jobs.cancel(["x"])
    assert job.status == "cancelled"
    work.hold_prepare.set()
    assert work.prepared.wait(PATIENCE)
    assert not work.started.is_set()


@pytest.mark.parametrize("stage", ["fails", "fails_to_prepare"])
@pytest.mark.parametrize("error", [VideoError("the file is cut short"), RuntimeError("out of memory")])
def test_a_fault_is_kept_for_the_waiter_and_the_worker_lives(jobs: Jobs, stage: str, error: Exception) -> None:
    diary: list[str] = []
    work = Steps("a", 1, diary)
    setattr(work, stage, error)
    job = jobs.submit("a", work, ["x"])
    assert jobs.wait({"x": job}, deadline())
    assert (job.status, job.error) == ("failed", error)
    after = jobs.submit("b", Steps("b", 1, diary), ["x"])
    assert jobs.wait({"x": after}, deadline())
    assert diary == ["b0"]


def test_a_download_does_not_hold_up_the_worker(jobs: Jobs) -> None:
    diary: list[str] = []
    slow = Steps("slow", 1, diary)
    slow.hold_prepare.clear()
    waiting = jobs.submit("slow", slow, ["s"])
    quick = jobs.submit("quick", Steps("quick", 1, diary), ["q"])
    assert jobs.wait({"q": quick}, deadline())
    slow.hold_prepare.set()
    assert jobs.wait({"s": waiting}, deadline())
    assert diary == ["quick0", "slow0"]


def test_closing_cancels_and_joins() -> None:
    jobs = Jobs()
    running, queued = Steps("a", 5, [], gated=True), Steps("b", 5, [])
    first = jobs.submit("a", running, ["a"])
    assert running.started.wait(PATIENCE)
    second = jobs.submit("b", queued, ["b"])
    (worker,) = [one.thread for one in jobs._workers.all]
    closing = threading.Thread(target=jobs.close, args=(PATIENCE,))
    closing.start()
    eventually(lambda: first.stopping)
    running.permits.release()  # the step under way ends
    closing.join(PATIENCE)
    eventually(lambda: not second.live)
    assert (first.status, second.status) == ("cancelled", "cancelled")
    assert running.closed.is_set()
    assert worker is not None and not worker.is_alive()
    with pytest.raises(UnavailableError, match="stopping"):
        jobs.submit("c", Steps("c", 1, []))


def test_no_thread_starts_before_there_is_work() -> None:
    before = set(threading.enumerate())  # of which some may be about to end
    jobs = Jobs()
    assert set(threading.enumerate()) <= before
    jobs.close()


# --- too much at once -----------------------------------------------------------------------------


@pytest.fixture
def small() -> Iterator[Jobs]:
    queue = Jobs(most=2)
    yield queue
    queue.close(timeout=PATIENCE)


def test_a_full_queue_is_busy_until_a_job_ends(small: Jobs) -> None:
    works = [Steps(name, 1, [], gated=True) for name in "ab"]
    jobs = {name: small.submit(name, work, [name]) for name, work in zip("ab", works, strict=True)}
    with pytest.raises(BusyError, match=r"as it takes at a time \(2\)"):
        small.submit("c", Steps("c", 1, []), ["c"])
    assert (small.owner("c"), len(small)) == (None, 2)
    works[0].permits.release()
    assert small.wait({"a": jobs["a"]}, deadline())
    third = small.submit("c", Steps("c", 1, []), ["c"])
    works[1].permits.release()
    assert small.wait({"c": third}, deadline())


def test_a_newer_job_for_the_same_keys_is_taken_by_a_full_queue(small: Jobs) -> None:
    old, other = Steps("old", 1, [], gated=True), Steps("other", 1, [], gated=True)
    replaced = small.submit("old", old, ["x"])
    small.submit("other", other, ["y"])
    old.permits.release()
    newer = small.submit("new", Steps("new", 1, []), ["x"])
    other.permits.release()
    assert small.wait({"x": newer}, deadline())
    assert newer.status == "done"
    eventually(lambda: not replaced.live)


def test_a_refused_job_takes_nothing_from_those_at_work(small: Jobs) -> None:
    works = [Steps(name, 1, [], gated=True) for name in "ab"]
    first = small.submit("a", works[0], ["x", "y"])
    small.submit("b", works[1], ["z"])
    with pytest.raises(BusyError):
        small.submit("c", Steps("c", 1, []), ["x"])  # the first one would go on for the sake of "y"
    assert small.owner("x") is first
    for work in works:
        work.permits.release()


def test_idle_jobs_neither_fill_the_queue_nor_are_refused(small: Jobs) -> None:
    idle = [Steps(f"idle{number}", 1, [], gated=True) for number in range(3)]
    for work in idle:
        small.submit(work.name, work, [work.name], idle=True)
    jobs = [small.submit(name, Steps(name, 1, []), [name]) for name in "ab"]
    for work in idle:
        work.permits.release()
    assert small.wait({job.name: job for job in jobs}, deadline())


def test_who_would_wait_beside_too_many_others_goes_on_at_once(jobs: Jobs) -> None:
    work = Steps("a", 1, [], gated=True)
    job = jobs.submit("a", work, ["x"])
    threads = [threading.Thread(target=jobs.wait, args=({"x": job}, deadline())) for _ in range(WAITING_AT_ONCE)]
    for thread in threads:
        thread.start()
    eventually(lambda: jobs._waits._value == 0)
    assert not jobs.wait({"x": job}, deadline())
    work.permits.release()
    for thread in threads:
        thread.join(PATIENCE)
    assert jobs.wait({"x": job}, deadline())


class Fetching:
    """Work that is prepared when it may be."""

    def __init__(self) -> None:
        self.come = threading.Event()

    def prepare(self, job: Job) -> None:
        assert self.come.wait(PATIENCE)

    def steps(self, job: Job) -> Iterator[object]:
        return iter(())


def test_who_waits_for_a_job_to_be_prepared_counts_among_those_who_wait(jobs: Jobs) -> None:
    work = Fetching()
    job = jobs.submit("a", work, ["x"])
    threads = [threading.Thread(target=jobs.wait_prepared, args=(job, deadline())) for _ in range(WAITING_AT_ONCE)]
    for thread in threads:
        thread.start()
    eventually(lambda: jobs._waits._value == 0)
    assert not jobs.wait_prepared(job, deadline())
    assert not jobs.wait({"x": job}, deadline())
    work.come.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert jobs.wait_prepared(job, deadline())


def test_idle_jobs_take_few_threads_and_no_turn_from_presses(jobs: Jobs) -> None:
    idle = [Steps(f"idle{number}", 1, []) for number in range(40)]
    before = set(threading.enumerate())
    for work in idle:
        work.hold_prepare.clear()
        jobs.submit(work.name, work, [work.name], idle=True)
    threads = [thread for thread in set(threading.enumerate()) - before if "prepare" in thread.name]
    assert len(threads) == IDLE_PREPARING_AT_ONCE
    press = jobs.submit("press", Steps("press", 1, []), ["x"])
    assert jobs.wait({"x": press}, deadline())
    for work in idle:
        work.hold_prepare.set()
    eventually(lambda: len(jobs) == 0)
    assert all(work.closed.is_set() for work in idle)


def test_idle_jobs_are_bounded(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.service.jobs.MOST_IDLE", 3)
    works = [Steps(f"idle{number}", 1, []) for number in range(IDLE_PREPARING_AT_ONCE + 3)]
    for work in works:
        work.hold_prepare.clear()
        eventually(lambda: len(jobs._unprepared) < 3)
        jobs.submit(work.name, work, idle=True)
    eventually(lambda: len(jobs._unprepared) == 3)
    with pytest.raises(BusyError):
        jobs.submit("more", Steps("more", 1, []), idle=True)
    for work in works:
        work.hold_prepare.set()


# --- several workers ------------------------------------------------------------------------------


class Recorded(Steps):
    """Work that notes which worker does its steps, and dies of a lost worker when it is told to."""

    def __init__(self, name: str, count: int, diary: list[str], *, gated: bool = False) -> None:
        super().__init__(name, count, diary, gated=gated)
        self.at: list[int] = []
        self.told: list[Exception] = []
        self.deaths: deque[int] = deque()

    def steps(self, job: Job) -> Iterator[object]:
        try:
            for index in range(self.count):
                self.started.set()
                self.at.append(job.worker)
                if self.deaths and self.deaths[0] == index:
                    self.deaths.popleft()
                    raise WorkerLostError("its worker died")
                assert self.permits.acquire(timeout=PATIENCE)
                self.diary.append(f"{self.name}{index}")
                yield index
        except WorkerLostError as error:
            if not job.goes_on(error):
                self.told.append(error)
            raise


@pytest.fixture
def two() -> Iterator[Jobs]:
    queue = Jobs(workers=2)
    yield queue
    queue.close(timeout=PATIENCE)


def at_once(queue: Jobs, *works: Recorded, **further: Any) -> list[Job]:
    """Submit gated works, and wait until all have begun."""
    jobs = [queue.submit(work.name, work, [work.name], place=work.name, **further) for work in works]
    for work in works:
        assert work.started.wait(PATIENCE)
    return jobs


def test_two_workers_work_at_once_and_a_task_stays_with_the_one_that_knows_it(two: Jobs) -> None:
    diary: list[str] = []
    first = [Recorded(name, 1, diary, gated=True) for name in "ab"]
    jobs = at_once(two, *first)
    assert {jobs[0].worker, jobs[1].worker} == {0, 1}
    assert {state.state for state in two.workers()} == {"busy"}
    for work in first:
        work.permits.release()
    eventually(lambda: len(two) == 0)
    homes = {work.name: work.at[0] for work in first}
    for _ in range(4):  # one after the other, so that either worker is free
        for name in "ba":
            again = Recorded(name, 2, diary)
            assert two.wait({name: two.submit(name, again, [name], place=name)}, deadline())
            assert again.at == [homes[name]] * 2
    idle = [(0, "idle", None), (1, "idle", None)]
    eventually(lambda: [(state.number, state.state, state.job) for state in two.workers()] == idle)


def test_a_task_that_no_worker_knows_goes_to_the_one_with_the_least_to_do(two: Jobs) -> None:
    works = [Recorded(name, 1, [], gated=True) for name in "abc"]
    a, b = at_once(two, *works[:2])
    works[0].permits.release()
    eventually(lambda: not a.live)
    (c,) = at_once(two, works[2])
    assert c.worker == works[0].at[0] != b.worker
    for work in works:
        work.permits.release()


def test_a_worker_without_work_takes_a_job_that_waits_behind_another_task(two: Jobs) -> None:
    """The task is known to a worker that is busy: its frames are encoded again, and nobody waits."""
    diary: list[str] = []
    works = {name: Recorded(name, 1, diary, gated=True) for name in ("a", "b", "c")}
    a, b = at_once(two, works["a"], works["b"])
    works["b"].permits.release()
    eventually(lambda: not b.live)
    again = Recorded("a", 1, diary)
    same = two.submit("a again", again, ["a again"], place="a")  # of the task that is at work: it stays
    (c,) = at_once(two, works["c"])
    assert c.worker == b.worker
    works["c"].permits.release()
    eventually(lambda: not c.live)
    other = Recorded("b", 1, diary, gated=True)
    two._workers._places["b"] = a.worker
    (moved,) = at_once(two, other)
    assert moved.worker != a.worker
    assert same.live
    for work in (*works.values(), other):
        work.permits.release()
    assert two.wait({"a again": same}, deadline())
    assert again.at == [a.worker]


def test_idle_work_keeps_no_worker_from_a_job_that_waits_behind_another_task(two: Jobs) -> None:
    diary: list[str] = []
    busy, idle = Recorded("a", 1, diary, gated=True), Recorded("idle", 2, diary, gated=True)
    (a,) = at_once(two, busy)
    (left,) = at_once(two, idle, idle=True)
    assert left.worker != a.worker
    for name in ("b", "c"):
        two._workers._places[name] = a.worker
    asked, more = Recorded("b", 1, diary), Recorded("c", 1, diary)
    job = two.submit("b", asked, ["b"], place="b")
    other = two.submit("c", more, ["c"], place="c", idle=True)
    eventually(lambda: job.status == other.status == "ready")
    idle.permits.release()
    assert two.wait({"b": job}, deadline())
    assert asked.at == [left.worker]
    assert (left.live, other.live) == (True, True)  # no idle job takes another's worker
    idle.permits.release()
    busy.permits.release()
    assert two.wait({"c": other, "a": a, "idle": left}, deadline())


def test_a_job_whose_worker_dies_is_begun_again_by_the_other(two: Jobs) -> None:
    revived = threading.Event()
    two._revive = lambda number: revived.wait(PATIENCE)
    diary: list[str] = []
    dying, beside = Recorded("a", 3, diary), Recorded("b", 2, diary, gated=True)
    dying.deaths.append(1)
    dying.permits.release()  # for what is done twice
    other = two.submit("b", beside, ["b"], place="b")
    assert beside.started.wait(PATIENCE)
    job = two.submit("a", dying, ["a"], place="a", moves=True)
    eventually(lambda: any(state.state == "lost" for state in two.workers()))
    beside.permits.release(2)
    assert two.wait({"a": job, "b": other}, deadline())
    assert (job.status, dying.told) == ("done", [])
    assert dying.at == [1 - other.worker] * 2 + [other.worker] * 3
    revived.set()
    eventually(lambda: all(state.state == "idle" for state in two.workers()))


def test_what_a_dead_worker_had_begun_beside_is_begun_again_too() -> None:
    queue = Jobs(workers=1)
    try:
        diary: list[str] = []
        beside = Recorded("b", 2, diary, gated=True)
        jobs = {"b": queue.submit("b", beside, ["b"], moves=True)}
        assert beside.started.wait(PATIENCE)
        dying = Recorded("a", 1, diary)
        dying.deaths.append(0)
        jobs["a"] = queue.submit("a", dying, ["a"], moves=True)
        eventually(lambda: jobs["a"].status == "ready")
        with queue.attended([jobs["a"]]):
            beside.permits.release()  # its first step is done, and then it is the other's turn
            eventually(lambda: not jobs["a"].live)
        beside.permits.release(2)
        assert queue.wait(jobs, deadline())
        assert diary == ["b0", "a0", "b0", "b1"]
        assert beside.told == []
    finally:
        queue.close(timeout=PATIENCE)


def test_a_job_of_which_workers_die_again_and_again_fails(two: Jobs) -> None:
    poison = Recorded("a", 2, [])
    poison.deaths.extend([0] * MOST_LOSSES)
    job = two.submit("a", poison, ["a"], moves=True)
    assert two.wait({"a": job}, deadline())
    assert (job.status, len(poison.at)) == ("failed", MOST_LOSSES)
    assert poison.told == [job.error]
    assert isinstance(job.error, WorkerLostError)
    after = Recorded("b", 1, [])
    assert two.wait({"b": two.submit("b", after, ["b"])}, deadline())


def test_a_worker_that_dies_of_another_job_is_not_held_against_a_job() -> None:
    queue = Jobs(workers=1)
    try:
        beside = Recorded("b", 2, [], gated=True)
        beside.deaths.extend([0] * (MOST_LOSSES - 1))
        job = queue.submit("b", beside, ["b"], moves=True)
        eventually(lambda: len(beside.at) == MOST_LOSSES)  # as often as it may, and it is at work again
        dying = Recorded("a", 1, [])
        dying.deaths.append(0)
        other = queue.submit("a", dying, ["a"], moves=True)
        eventually(lambda: other.status == "ready")
        with queue.attended([other]):
            beside.permits.release()
            eventually(lambda: not other.live)
        beside.permits.release(2)
        assert queue.wait({"b": job}, deadline())
        assert (job.status, beside.told) == ("done", [])
    finally:
        queue.close(timeout=PATIENCE)


def test_a_job_that_cannot_be_begun_again_fails_with_its_worker(two: Jobs) -> None:
    dying = Recorded("a", 1, [])
    dying.deaths.append(0)
    job = two.submit("a", dying, ["a"])
    assert two.wait({"a": job}, deadline())
    assert (job.status, dying.told) == ("failed", [job.error])


def test_a_worker_that_cannot_be_started_is_tried_again(two: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.service.jobs.FIRST_REST", 0.01)
    tries: list[int] = []

    def revive(number: int) -> None:
        tries.append(number)
        if len(tries) < 3:
            raise WorkerLostError("there is no machine for it")

    two._revive = revive
    dying = Recorded("a", 1, [])
    dying.deaths.append(0)
    job = two.submit("a", dying, ["a"], moves=True)
    assert two.wait({"a": job}, deadline())
    eventually(lambda: len(tries) == 3 and all(state.state == "idle" for state in two.workers()))
    assert len(set(tries)) == 1


def test_where_no_worker_can_be_started_jobs_fail_and_say_so() -> None:
    def refuse(number: int) -> None:
        raise WorkerLostError("there is no machine for it")

    queue = Jobs(workers=1, revive=refuse)
    try:
        dead = Recorded("a", 1, [])
        dead.deaths.extend([0] * MOST_LOSSES)
        job = queue.submit("a", dead, ["a"], moves=True)
        assert queue.wait({"a": job}, deadline())
        assert (job.status, [state.state for state in queue.workers()]) == ("failed", ["lost"])
    finally:
        queue.close(timeout=PATIENCE)


def test_a_job_for_one_worker_waits_for_that(two: Jobs) -> None:
    diary: list[str] = []
    busy = Recorded("a", 1, diary, gated=True)
    at_once(two, busy)
    pinned = [Recorded(str(number), 1, diary) for number in range(2)]
    jobs = {str(number): two.submit(str(number), pinned[number], [str(number)], worker=number) for number in range(2)}
    free = str(1 - busy.at[0])
    assert two.wait({free: jobs[free]}, deadline())
    busy.permits.release()
    assert two.wait(dict(jobs), deadline())
    assert [work.at for work in pinned] == [[0], [1]]
