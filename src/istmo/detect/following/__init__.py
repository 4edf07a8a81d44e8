"""Following files: what is written to them from now on, and what was since the last time.

A *bookmark* says how far a file has been read and acknowledged; a *tail* is a file that is being
read. Rotation, truncation and copies are known by the first bytes of a file, and by the last that were read.
"""

from istmo.detect.following.bookmarks import Bookmark, BookmarkFile
from istmo.detect.following.follower import Follower

__all__ = ["Bookmark", "BookmarkFile", "Follower"]
