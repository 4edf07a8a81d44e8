"""Opening what files hold: JSON lines, Windows event logs and logs of lines, plain, packed or in a zip.

``open_events(path, limits)`` yields lines and problems, in order; it never raises for what a file holds.
``LogEvents`` reads a log of lines from any stream of bytes.
"""

from istmo.detect.reading.files import Members, inflated, member_sizes, open_events, open_stream
from istmo.detect.reading.folders import files_in
from istmo.detect.reading.found import JSON, FileProblem, Found, Line, name_of
from istmo.detect.reading.line_logs import FORMS, LineLogs, LogEvents, form_of, is_text

__all__ = [
    "FORMS",
    "JSON",
    "FileProblem",
    "Found",
    "Line",
    "LineLogs",
    "LogEvents",
    "Members",
    "files_in",
    "form_of",
    "inflated",
    "is_text",
    "member_sizes",
    "name_of",
    "open_events",
    "open_stream",
]
