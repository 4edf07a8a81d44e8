"""Detection in the console: alerts, working on one, rules, value lists, sources."""

from istmo.detect.pages import alert_read, alert_work, rule_read, source_read, source_work, value_lists

routes = [
    *alert_read.routes,
    *alert_work.routes,
    *rule_read.routes,
    *value_lists.routes,
    *source_read.routes,
    *source_work.routes,
]
