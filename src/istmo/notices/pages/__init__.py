"""Notices in the console: one's own list, and what one wants to be told of."""

from __future__ import annotations

from istmo.notices.pages import notice_read

routes = notice_read.routes
