"""The dashboard and the rules against a real Prometheus that scrapes the real service (`make monitoring-check`)."""
