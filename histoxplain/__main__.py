"""`python -m histoxplain` is `histoxplain`."""

import sys

from histoxplain.cli import main

if __name__ == "__main__":
    sys.exit(main())
