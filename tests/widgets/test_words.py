import torch

from histoxplain.explain import compare_images
from histoxplain.widgets.explorer.words import Notice, measured_html, opinions_html
from histoxplain.widgets.place import Sight


def sight(low=None, high=None):
    p = torch.tensor([0.25, 0.75])
    return Sight(torch.zeros(3, 4, 4), p, torch.zeros(2), low, high)


def test_bars_show_now_before_and_the_range():
    html = opinions_html(
        sight(torch.tensor([0.1, 0.6]), torch.tensor([0.4, 0.9])), torch.tensor([0.5, 0.5]), ["a<b", "c"], "two"
    )
    assert "width:25.0%" in html
    assert "left:calc(50.0% - 1px)" in html
    assert "left:10.0%;width:30.0%" in html
    assert "10&ndash;40" in html
    assert "aria-label='a&lt;b 25%, before 50%'" in html


def test_bars_without_other_opinions_and_without_change():
    html = opinions_html(sight(), torch.tensor([0.25, 0.75]), ["a", "c"], "nobody")
    assert "hx-range" not in html
    assert "hx-was" not in html


def test_the_table_puts_what_is_clear_first_and_greys_noise():
    grey = torch.linspace(-0.8, 0.0, 32).expand(1, 32, 32)
    html = measured_html(compare_images(grey, grey + 0.3))
    assert html.index("brightness") < html.index("hx-noise")
    assert "<td>0.3</td><td>0.45</td><td>+50%</td>" in html


def test_notices_keep_remarks_and_forget_errors():
    notice = Notice()
    notice.tell("Found.")
    notice.report(None)
    assert "Found." in notice.value
    notice.report(ValueError("no <tissue>"))
    assert "ValueError: no &lt;tissue&gt;" in notice.value
    assert "role='alert'" in notice.value
    notice.report(None)
    assert notice.value == ""
    notice.tell("Do not trust this.")
    assert "hx-warning" in notice.value
