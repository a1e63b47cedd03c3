"""Metrics as ``evaluate`` modules: ``evaluate.load("analysis/metrics/NAME")``, one folder each, all offline."""
