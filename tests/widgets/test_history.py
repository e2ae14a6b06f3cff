import pytest

from histoxplain.widgets import History


@pytest.fixture
def time():
    return [0.0]


@pytest.fixture
def history(time):
    return History("a", limit=4, within=1.0, clock=lambda: time[0])


def test_back_and_forth(history):
    for state in "bcd":
        history.do(state)
    assert [history.undo() for _ in range(4)] == ["c", "b", "a", "a"]
    assert [history.redo() for _ in range(4)] == ["b", "c", "d", "d"]
    assert (history.can_undo, history.can_redo) == (True, False)


def test_a_new_move_forgets_what_was_undone(history):
    history.do("b")
    history.undo()
    history.do("c")
    assert not history.can_redo
    assert history.undo() == "a"


def test_a_burst_of_one_control_is_one_step(history, time):
    for when, state in [(0.0, "b"), (0.4, "c"), (0.8, "d")]:
        time[0] = when
        history.do(state, control="slider")
    assert history.undo() == "a"


def test_a_pause_or_another_control_ends_the_burst(history, time):
    history.do("b", "slider")
    time[0] = 2.0
    history.do("c", "slider")
    history.do("d", "other")
    assert [history.undo() for _ in range(3)] == ["c", "b", "a"]


def test_what_was_undone_is_no_part_of_a_burst(history):
    history.do("b", "slider")
    history.undo()
    history.do("c", "slider")
    assert history.undo() == "a"


def test_standing_still_is_no_move(history):
    history.do("a")
    assert not history.can_undo


def test_the_oldest_states_are_forgotten(history):
    for state in "bcdef":
        history.do(state)
    assert [history.undo() for _ in range(5)] == ["e", "d", "c", "c", "c"]
