"""Cases in the console: the list, one case, working on it, sharing it."""

from istmo.respond.pages import case_read, case_share, case_work

routes = [*case_read.routes, *case_work.routes, *case_share.routes]
