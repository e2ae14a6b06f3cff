import torch

from histoxplain.explain.change import change_limit, change_map, paint_change


def test_darker_is_negative_and_purple_lighter_is_positive_and_orange():
    before = torch.zeros(3, 1, 2)
    after = before.clone()
    after[..., 0], after[..., 1] = -0.5, 0.5
    change = change_map(before, after)
    assert change.tolist() == [[-0.25, 0.25]]
    (red, green, blue), (r, g, b) = paint_change(change, limit=0.25)[0].tolist()
    assert blue > red > green
    assert r > g > b


def test_only_some_channels():
    after = torch.zeros(3, 1, 1)
    after[0] = 0.6
    assert torch.isclose(change_map(torch.zeros(3, 1, 1), after), torch.tensor(0.1)).all()


def test_limit_has_a_floor_and_ignores_single_pixels():
    change = torch.zeros(100, 100)
    change[0, 0] = 1
    assert change_limit(change) == 0.05
    assert change_limit(torch.full((10, 10), -0.4)) == torch.tensor(0.4).item()
