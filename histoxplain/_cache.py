"""Where this machine keeps what was fetched or compiled once."""

from __future__ import annotations

import os
from pathlib import Path

import pooch


def cache_folder() -> Path:
    """The environment's HISTOXPLAIN_CACHE, or the usual place of this system."""
    return Path(os.environ.get("HISTOXPLAIN_CACHE") or pooch.os_cache("histoxplain"))
