"""Fuzzing of what reads data from outside: ``python -m tests.fuzz --help``."""

import sys
from pathlib import Path

# As pytest does: tests know one another by their path below tests/.
if (_tests := str(Path(__file__).parent.parent)) not in sys.path:
    sys.path.append(_tests)
