"""Detection in the console: alerts, working on one, rules, value lists."""

from istmo.detect.pages import alert_read, alert_work, rule_read, value_lists

routes = [*alert_read.routes, *alert_work.routes, *rule_read.routes, *value_lists.routes]
