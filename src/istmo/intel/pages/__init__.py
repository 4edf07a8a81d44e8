"""Objects in the console: search, one object, taking one back, publishing."""

from istmo.intel.pages import object_list, object_publish, object_read

routes = [*object_list.routes, *object_read.routes, *object_publish.routes]
