import torch

from histoxplain.train.class_turns import ClassTurns
from histoxplain.train.translation import ImageBuffer, counterfactual_loss, least_squares


def test_the_classifiers_part_falls_as_the_class_flips():
    logits = torch.linspace(-6, 6, 25)
    p = torch.stack([-logits, logits], 1).softmax(1)
    losses = torch.stack([counterfactual_loss(row[None], torch.tensor([1])) for row in p])
    assert (losses.diff() < 0).all()  # no minimum at doubt, p = 0.5
    torch.testing.assert_close(losses, 2 * (1 - p[:, 1]) ** 2)


def test_the_classifiers_part_of_several_classes_is_the_formula():
    p = torch.tensor([[0.2, 0.3, 0.5], [0.7, 0.2, 0.1]])
    expected = ((0.2**2 + 0.3**2 + 0.5**2) + (0.7**2 + 0.8**2 + 0.1**2)) / 2
    assert abs(counterfactual_loss(p, torch.tensor([2, 1])).item() - expected) < 1e-6


def test_a_step_down_it_makes_the_target_more_probable():
    logits = torch.tensor([[2.0, -1.0]], requires_grad=True)
    counterfactual_loss(logits.softmax(1), torch.tensor([1])).backward()
    assert logits.grad[0, 1] < 0 < logits.grad[0, 0]


def test_least_squares_are_zero_where_the_discriminator_is_right():
    logits = torch.tensor([[1.0, 1.0]])
    assert (least_squares(logits, 1.0).item(), least_squares(logits, 0.0).item()) == (0.0, 1.0)


def numbered(start, count):
    return torch.arange(start, start + count, dtype=torch.float32)[:, None, None, None]


def test_a_buffer_gives_half_new_and_half_earlier_images(rng):
    buffer, classes = ImageBuffer(2, size=50), torch.arange(100) % 2
    assert torch.equal(buffer.exchange(numbered(0, 100), classes, rng), numbered(0, 100))  # until it is full
    new, seen = 0, set()
    for turn in range(1, 31):
        images = numbered(100 * turn, 100)
        given = buffer.exchange(images, classes, rng)
        new += int((given == images).sum())
        assert ((given.flatten() % 2) == classes).all()  # classes do not mix
        seen |= set(given.flatten().tolist())
    assert abs(new / 3000 - 0.5) < 0.04  # 3 standard deviations are 0.027
    assert len(seen) > 2900  # whatever was kept comes out later, but for what is still kept


def test_a_buffer_of_nothing_gives_what_comes(rng):
    images = numbered(0, 8)
    assert torch.equal(ImageBuffer(1, 0).exchange(images, torch.zeros(8, dtype=torch.long), rng), images)


def test_a_buffer_goes_on(rng):
    first, classes = ImageBuffer(2, 3), torch.arange(8) % 2
    first.exchange(numbered(0, 8), classes, rng)
    second = ImageBuffer(2, 3)
    second.load_state_dict(first.state_dict())
    both = [b.exchange(numbered(8, 8), classes, torch.Generator().manual_seed(1)) for b in (first, second)]
    assert torch.equal(*both)


def test_classes_take_turns_however_many_images_they_have():
    labels = torch.tensor([0] * 3 + [1] * 30)
    turns = ClassTurns(labels, seed=1)
    drawn = [turns.next() for _ in range(60)]
    assert [int(labels[i]) for i in drawn] == [0, 1] * 30
    assert len(set(drawn[1::2])) > 20
    again = ClassTurns(labels, seed=1, drawn=17)
    assert [again.next() for _ in range(43)] == drawn[17:]
