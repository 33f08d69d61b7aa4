"""What a person or CI runs in a checkout; each command's shell file finds a Python and starts one module here.

Standard library only: these run before anything is installed.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - these are the first lines an older Python meets
    sys.exit(f"GW-1951 Python 3.11 or newer is needed; this is {sys.version.split()[0]}")
