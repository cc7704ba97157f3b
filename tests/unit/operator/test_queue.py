"""The queue of keys."""

import asyncio

import pytest

from kubeswarm_operator import queue
from kubeswarm_operator.queue import WorkQueue


async def _next(work: WorkQueue[str], seconds: float = 0.5) -> str:
    return await asyncio.wait_for(work.get(), seconds)


async def test_a_key_waits_once_however_often_it_is_added() -> None:
    work: WorkQueue[str] = WorkQueue(spacing=0)
    for _ in range(5):
        work.add("a")
    work.add("b")
    assert [await _next(work), await _next(work)] == ["a", "b"]
    with pytest.raises(TimeoutError):
        await _next(work, 0.05)


async def test_a_key_never_runs_twice_at_a_time_and_is_run_once_more() -> None:
    work: WorkQueue[str] = WorkQueue(spacing=0)
    work.add("a")
    assert await _next(work) == "a"
    work.add("a")
    work.add("a")
    with pytest.raises(TimeoutError):
        await _next(work, 0.05)
    work.done("a", ok=True)
    assert await _next(work) == "a"
    work.done("a", ok=True)
    assert len(work) == 0


async def test_bursts_are_spaced() -> None:
    work: WorkQueue[str] = WorkQueue(spacing=0.15)
    loop = asyncio.get_running_loop()
    work.add("a")
    await _next(work)
    started = loop.time()
    work.done("a", ok=True)
    work.add("a")
    await _next(work)
    assert loop.time() - started >= 0.13


async def test_failures_back_off_and_events_do_not_shorten_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "BACKOFF_FIRST", 0.1)
    work: WorkQueue[str] = WorkQueue(spacing=0)
    loop = asyncio.get_running_loop()
    work.add("a")
    waits: list[float] = []
    for _ in range(3):
        began = loop.time()
        assert await _next(work, 2) == "a"
        waits.append(loop.time() - began)
        work.done("a", ok=False)
        work.add("a")
    assert waits[1] >= 0.07 and waits[2] >= 0.15
    work.add("a", afresh=True)
    assert await _next(work, 0.05) == "a", "a change by the user is tried at once"


async def test_deadlines_come_in_their_order_and_can_be_brought_forward() -> None:
    work: WorkQueue[str] = WorkQueue(spacing=0)
    work.add("late", 30)
    work.add("soon", 0.1)
    work.add("later", 60)
    assert await _next(work) == "soon"
    work.add("later")
    assert await _next(work) == "later"
    assert work.depth() == 0
    assert len(work) == 1


async def test_a_forgotten_key_is_gone() -> None:
    work: WorkQueue[str] = WorkQueue(spacing=0)
    work.add("a")
    work.forget("a")
    with pytest.raises(TimeoutError):
        await _next(work, 0.05)


async def test_workers_share_the_work() -> None:
    work: WorkQueue[int] = WorkQueue(spacing=0)
    done: list[int] = []
    finished = asyncio.Event()
    busy, most = 0, 0

    async def run(key: int) -> tuple[bool, float | None]:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(0.01)
        busy -= 1
        done.append(key)
        if len(done) == 30:
            finished.set()
        return True, None

    workers = [asyncio.create_task(work.work(run)) for _ in range(3)]
    for key in range(30):
        work.add(key)
    async with asyncio.timeout(5):
        await finished.wait()
    for worker in workers:
        worker.cancel()
    assert sorted(done) == list(range(30))
    assert most == 3
