"""What processes write down of a failure."""

from __future__ import annotations

import subprocess
import sys

FAILING = """
import structlog
from istmo.detect.process_log import log_to_stderr

def answer(headers, key):
    raise ValueError("a defect")

log_to_stderr()
try:
    answer({"authorization": "Bearer s3cret-of-a-sender"}, b"s3cret-of-a-store")
except ValueError:
    structlog.get_logger().exception("intake_failed", place="1-0")
"""


def test_a_failure_is_told_with_its_place_and_without_what_was_in_hand() -> None:
    """Invariant 7: no token is logged in clear."""
    told = subprocess.run([sys.executable, "-c", FAILING], capture_output=True, text=True, check=True).stderr
    assert "intake_failed" in told and "a defect" in told and "in answer" in told
    assert "s3cret" not in told
