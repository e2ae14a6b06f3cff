import numpy as np
import pytest

from histoxplain import InputError
from histoxplain.data.volumes import Greys


def test_a_window_maps_its_ends_to_black_and_white():
    greys = Greys.parse("soft tissue")
    assert greys(np.array([-1000, -160, 40, 90, 240, 3000])).tolist() == [-1, -1, 0, 0.25, 1, 1]
    assert greys(np.zeros(2)).dtype == np.float32
    assert Greys.parse("-600/1500") == Greys.parse("lung")


def test_percentiles_are_those_of_the_volume():
    values = np.arange(1001.0).reshape(7, 11, 13)
    own = Greys.parse("5%-95%").of_volume(values)
    assert (own.low, own.high, own.percentiles) == (50, 950, False)
    assert Greys.parse("5%-95%")(values).ravel()[[0, 50, 500, 950, 1000]].tolist() == [-1, -1, 0, 1, 1]
    assert Greys.parse("percentiles") == Greys(0.5, 99.5, percentiles=True)
    assert (Greys.parse("percentiles")(np.zeros(4)) == -1).all()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("soft tisue", "nearest valid is 'soft tissue'"),
        ("40/0", "end above its start"),
        ("40/-3", "end above its start"),
        ("9%-5%", "end above its start"),
        ("5%-105%", "from 0 to 100"),
        ("3", "try 40/400"),
        ("CENTRE/WIDTH", "try 40/400"),
    ],
)
def test_odd_windows(text, said):
    with pytest.raises(InputError, match=said):
        Greys.parse(text)
