import pytest

from histoxplain import InputError, _ranks


def test_one_process_shares_nothing(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "8")  # of something else than torchrun
    assert (_ranks.world(), _ranks.rank()) == (1, 0)
    _ranks.join("cuda")
    assert _ranks.first(lambda: 3) == 3
    assert _ranks.share([1, 2, 3]) == [1, 2, 3]


def test_one_process_does_one_thing_after_the_other():
    done = []
    results = _ranks.spread(lambda x: done.append(x) or -x, [1, 2])
    assert next(results) == -1
    assert done == [1]


def test_each_item_has_one_process(monkeypatch):
    for name, value in {"TORCHELASTIC_RUN_ID": "test", "WORLD_SIZE": "3"}.items():
        monkeypatch.setenv(name, value)
    shares = []
    for rank in range(3):
        monkeypatch.setenv("RANK", str(rank))
        shares.append(list(_ranks.share(range(7))))
    assert shares == [[0, 3, 6], [1, 4], [2, 5]]


def test_only_what_others_are_asked_for_counts_as_their_silence():
    with pytest.raises(_ranks.RankError, match="Timed out"), _ranks.answering():
        raise RuntimeError("Timed out")
    with pytest.raises(InputError), _ranks.answering():
        raise InputError("a file is missing")
