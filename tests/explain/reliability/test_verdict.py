import json

import pytest

from histoxplain.explain.reliability import Check, Reliability
from histoxplain.explain.reliability.check import unchecked

FINE = Check("sure", "Is it sure?", "yes", figures={"probability": 0.9})
STRANGE = Check("familiar", "Is it known?", "no", ("the image is unlike any other",))
SECOND = Check("second_opinion", "Does a second agree?", "1 of 3", doubtful={1: "the second calls it <a>", 2: "so"})
OPEN = unchecked("drawable", "Can it be redrawn?", "there is no reference")


@pytest.mark.parametrize(
    ("checks", "count", "sentence"),
    [
        ([FINE], 1, "No reason to distrust it was found (1 check)."),
        ([FINE, FINE], 2, "No reason to distrust this explanation was found (2 checks)."),
        (
            [FINE, OPEN],
            1,
            "No reason to distrust it was found (1 check). Not checked: Can it be redrawn? (there is no reference).",
        ),
        ([FINE, STRANGE, SECOND], 3, "Do not trust this explanation: the image is unlike any other."),
        (
            [FINE, SECOND],
            3,
            "Do not trust change 2: the second calls it <a>. Do not trust change 3: so. "
            "No reason to distrust change 1 was found (2 checks).",
        ),
        ([Check("c", "q", "a", doubtful={0: "so"})], 1, "Do not trust this change: so."),
        ([Check("c", "q", "a", doubtful={0: "so", 1: "so"})], 2, "Do not trust any of the changes: so."),
        ([FINE], 0, "There is nothing to trust or distrust: no change was found."),
    ],
)
def test_sentence(checks, count, sentence):
    assert Reliability(tuple(checks), count).sentence() == sentence


def test_trust_of_each_counterfactual():
    assert Reliability((FINE, SECOND), 3).trusted == [True, False, False]
    assert Reliability((STRANGE, SECOND), 3).trusted == [False] * 3
    assert [row["fine"] for row in Reliability((FINE, STRANGE, SECOND, OPEN), 3).rows()] == [True, False, False, None]


def test_json_comes_back():
    told = Reliability((FINE, STRANGE, SECOND, OPEN), 3)
    content = json.loads(json.dumps(told.to_json()))
    assert Reliability.from_json(content) == told
    assert content["checks"][2]["doubtful"] == {"2": "the second calls it <a>", "3": "so"}
    assert content["trusted"] == [False] * 3


def test_draws_itself_without_minding_html_in_names():
    html = Reliability((SECOND,), 3)._repr_html_()
    assert "calls it &lt;a&gt;" in html
    assert "<a>" not in html
    assert "doubtful" in html
