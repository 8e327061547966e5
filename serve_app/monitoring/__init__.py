"""The dashboard and the alerts, printed from the one list of metrics. Records nothing and imports no torch."""
