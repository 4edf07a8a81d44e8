"""Detection in the console: alerts, working on one, rules, lists, sources, saved hunts."""

from istmo.detect.pages import (
    alert_queue,
    alert_read,
    alert_work,
    hunt_export,
    hunt_read,
    hunt_rules,
    hunt_search,
    hunt_sql,
    hunt_work,
    rule_read,
    rule_work,
    source_read,
    source_work,
    value_lists,
    warning_lists,
)

routes = [
    *alert_queue.routes,
    *alert_read.routes,
    *alert_work.routes,
    *rule_read.routes,
    *rule_work.routes,
    *value_lists.routes,
    *warning_lists.routes,
    *source_read.routes,
    *source_work.routes,
    *hunt_read.routes,
    *hunt_work.routes,
    *hunt_search.routes,
    *hunt_rules.routes,
    *hunt_sql.routes,
    *hunt_export.routes,
]
