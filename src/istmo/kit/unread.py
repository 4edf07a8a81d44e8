"""Bodies that an answer does not wait for: the connection ends with such an answer.

The server would go on reading, and throwing away, whatever the sender has to send, for as long as it
cares to: a refusal would cost the node more than the sender.
"""

from __future__ import annotations

from collections.abc import Mapping


def announces_body(headers: Mapping[str, str]) -> bool:
    """Whether a request, by its headers in lower case, says that a body follows."""
    return "transfer-encoding" in headers or headers.get("content-length", "0").strip() != "0"
