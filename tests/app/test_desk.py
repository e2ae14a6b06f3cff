import threading

import pytest

from histoxplain.app import BusyError, Desk, LateError


def test_questions_are_worked_on_one_after_another_in_order():
    desk, order, running, most = Desk(waiting=8), [], [], []

    def work(name):
        running.append(name)
        most.append(len(running))
        order.append(name)
        running.remove(name)
        return name

    go = threading.Event()
    first = threading.Thread(target=desk.ask, args=(go.wait,))
    first.start()
    while not desk._here:
        pass
    others = []
    for i in range(5):
        others.append(threading.Thread(target=desk.ask, args=(lambda i=i: work(i),)))
        others[-1].start()
        while desk._here < i + 2:
            pass
    go.set()
    for thread in [first, *others]:
        thread.join()
    assert order == [0, 1, 2, 3, 4]
    assert max(most) == 1
    while desk._here:  # the last one is counted off just after its answer is there
        pass


def test_too_many_are_sent_away_at_once():
    desk, go = Desk(waiting=0), threading.Event()
    first = threading.Thread(target=desk.ask, args=(go.wait,))
    first.start()
    while not desk._here:
        pass
    with pytest.raises(BusyError, match="Too many people"):
        desk.ask(int)
    go.set()
    first.join()
    assert desk.ask(lambda: 1) == 1


def test_what_takes_too_long_is_given_up_and_counts_until_it_ends():
    desk, go = Desk(waiting=0, seconds=0.05), threading.Event()
    with pytest.raises(LateError, match=r"0\.05 seconds"):
        desk.ask(go.wait)
    with pytest.raises(BusyError):
        desk.ask(int)
    go.set()
    while desk._here:
        pass
    assert desk.ask(lambda: "next") == "next"


def test_what_goes_wrong_is_raised_to_who_asked():
    desk = Desk()
    with pytest.raises(ZeroDivisionError):
        desk.ask(lambda: 1 // 0)
    with pytest.raises(TimeoutError, match="of the work itself"):
        desk.ask(lambda: (_ for _ in ()).throw(TimeoutError("of the work itself")))
    assert desk.ask(lambda: 2) == 2
