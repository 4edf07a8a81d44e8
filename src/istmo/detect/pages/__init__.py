"""Alerts in the console: the list, one alert, working on it."""

from istmo.detect.pages import alert_read, alert_work

routes = [*alert_read.routes, *alert_work.routes]
