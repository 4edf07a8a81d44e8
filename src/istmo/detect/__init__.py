"""Watch: intake, event store, Sigma, indicators, alerts, hunts."""
