import asyncio
import threading

from histoxplain.widgets import Lane


def test_without_a_loop_it_happens_at_once():
    found, errors = [], []
    lane = Lane(errors.append)
    lane(lambda: 7, found.append)
    assert (found, errors) == ([7], [None])


def test_errors_of_the_job_and_of_showing_it_are_told():
    errors = []
    lane = Lane(errors.append)
    lane(lambda: 1 / 0, print)
    lane(lambda: 1, lambda value: [][value])
    assert [type(error) for error in errors] == [ZeroDivisionError, IndexError]


def run(play):
    """In a loop, as in a kernel; what the jobs wait for is let go afterwards."""
    errors, gate = [], threading.Event()

    async def scene():
        lane = Lane(errors.append)
        await play(lane, gate)
        while lane.busy:
            await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(scene(), 20))
    return errors


def test_the_loop_goes_on_and_only_the_newest_wish_waits():
    done, threads = [], set()

    async def play(lane, gate):
        def job(i):
            gate.wait(20)
            threads.add(threading.current_thread())
            return i

        for i in range(9):
            lane(lambda i=i: job(i), done.append)
        await asyncio.sleep(0)  # alive, although the first job cannot end yet
        assert lane.busy
        gate.set()

    assert run(play) == [None, None]
    assert done == [0, 8]
    assert threading.main_thread() not in threads


def test_results_are_handed_over_in_the_kernels_thread():
    where = []

    async def play(lane, gate):
        lane(lambda: 1, lambda _: where.append(threading.current_thread()))

    run(play)
    assert where == [threading.main_thread()]


def test_what_was_stopped_is_never_shown_but_the_next_is():
    done = []

    async def play(lane, gate):
        lane(lambda: gate.wait(20) and "old", done.append)
        lane(lambda: "waiting", done.append)
        lane.stop()
        lane(lambda: "new", done.append)
        gate.set()

    assert run(play) == [None]
    assert done == ["new"]


def test_here_and_now_does_not_wait_for_what_is_under_way():
    done = []

    async def play(lane, gate):
        lane(lambda: gate.wait(20) and "slow", done.append)
        lane.now(lambda: "quick", done.append)
        assert (done, lane.busy) == (["quick"], True)
        gate.set()

    run(play)
    assert done == ["quick", "slow"]


def test_tells_when_it_is_busy():
    told = []

    async def play(lane, gate):
        lane.on_busy = told.append
        for _ in range(3):
            lane(lambda: None, lambda _: None)

    run(play)
    assert told == [True, True, False]
