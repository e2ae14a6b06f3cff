import torch

from histoxplain import InputError
from histoxplain.widgets.readout import Message, bars_html, curve_html

NAMES = ("benign", "<b>odd</b>")


def test_bars_say_the_numbers_and_escape_names():
    html = bars_html(torch.tensor([0.25, 0.75]), NAMES)
    assert "25%" in html
    assert "75%" in html
    assert "&lt;b&gt;odd" in html


def test_the_cursor_stands_at_the_step():
    p = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
    first, last = (curve_html(p, NAMES, at=at, width=400) for at in (0, 2))
    assert "cx='40.0'" in first
    assert "cx='392.0'" in last
    assert first.count("stroke-dasharray") == 0
    assert curve_html(p, NAMES, at=1, threshold=0.5).count("stroke-dasharray") == 1


def test_messages():
    message = Message()
    message.report(InputError("`count` must be at least 1, got 0."))
    assert "InputError" not in message.value
    assert "got 0" in message.value
    message.report(RuntimeError("<out of memory>"))
    assert "RuntimeError: &lt;out of memory&gt;" in message.value
    message.report(None)
    assert message.value == ""
