"""Opening what files hold: JSON lines, plain, gzip or in a zip as users download it.

``open_events(path, limits)`` yields lines and problems, in order; it never raises for what a file holds.
"""

from istmo.detect.reading.files import FileProblem, Found, Line, open_events, open_stream

__all__ = ["FileProblem", "Found", "Line", "open_events", "open_stream"]
