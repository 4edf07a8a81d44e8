"""Opening what files hold: JSON lines and Windows event logs, plain, gzip or in a zip as users download it.

``open_events(path, limits)`` yields lines and problems, in order; it never raises for what a file holds.
"""

from istmo.detect.reading.files import Members, count_members, open_events, open_stream
from istmo.detect.reading.found import FileProblem, Found, Line

__all__ = ["FileProblem", "Found", "Line", "Members", "count_members", "open_events", "open_stream"]
