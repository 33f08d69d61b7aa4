"""Let `python -m gateway` do what the `gateway` command does."""

import sys

from gateway.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
