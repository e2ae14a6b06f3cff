import socket
import sys

import pytest

from histoxplain._checks import InputError
from histoxplain.app.serving import free_port


def test_says_what_to_install(monkeypatch, refused):
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert 'pip install "histoxplain[app]"' in refused("app")


def test_wrong_options(refused):
    pytest.importorskip("gradio")
    assert "`bundle` must be a known bundle" in refused("app", "--bundle", "no-such")
    assert "`waiting` must be at least 0" in refused("app", "--waiting", "-1")
    assert "`megabytes` must be above 0" in refused("app", "--megabytes", "0")
    assert "`port` must lie in [0, 65535]" in refused("app", "--port", "70000")


def test_the_next_free_port_is_taken():
    with free_port("127.0.0.1", 0) as first:
        number = first.getsockname()[1]
        with free_port("127.0.0.1", number) as second:
            assert number < second.getsockname()[1] <= number + 19
            assert second.getsockname()[0] == "127.0.0.1"
    with pytest.raises(InputError, match="be free at 203"):
        free_port("203.0.113.1", 7860)  # an address that no machine has
    assert socket.AF_INET
