from types import SimpleNamespace

from histoxplain.evaluation.measuring import errors_of


def noting(**settings):
    return SimpleNamespace(settings=settings)


def test_errors_are_the_means_of_what_records_note():
    done = [noting(cycle_error=0.02, identity_error=0.1), noting(cycle_error=0.04, identity_error=0.3)]
    found = errors_of(done)
    assert abs(found["cycle_error"].value - 0.03) < 1e-9
    assert abs(found["identity_error"].value - 0.2) < 1e-9
    assert 0.02 <= found["cycle_error"].low <= 0.03 <= found["cycle_error"].high <= 0.04


def test_methods_that_note_none_have_none():
    assert errors_of([noting(), noting(cycle_error=0.1)]) == {}
