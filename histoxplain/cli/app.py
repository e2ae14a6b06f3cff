"""Open the web page: choose an image, ask what would change the classifier's mind, take the report away."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Command:
    """Options of `histoxplain app`."""

    bundle: tuple[Path, ...] = ()
    """Names of bundles under checkpoints/, or their folders; by default all there are."""
    host: str = "127.0.0.1"
    """Address to listen at. The default is reached from this machine only; 0.0.0.0 from everywhere, without a login."""
    port: int = 7860
    """Port of the page; the next free one is taken if it is busy."""
    browser: bool = True
    """Open a browser window."""
    megabytes: float = 20.0
    """Largest file that is accepted."""
    waiting: int = 8
    """How many questions may wait while one is worked on."""
    seconds: float = 180.0
    """How long a question may take, its waiting included."""

    def __call__(self) -> None:
        """Serve until interrupted."""
        from histoxplain._checks import check
        from histoxplain._optional import require

        require("gradio", extra="app")
        from histoxplain.app import Desk, Limits, serve

        check(self.megabytes > 0, "megabytes", "be above 0", self.megabytes)
        check(self.seconds > 0, "seconds", "be above 0", self.seconds)
        desk, limits = Desk(self.waiting, self.seconds), Limits(megabytes=self.megabytes)
        serve(self.bundle, self.host, self.port, self.browser, limits, desk)
