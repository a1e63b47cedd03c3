"""Metrics as ``evaluate`` modules: ``evaluate.load("analysis/studies/metrics/NAME")``, one folder each, all offline."""
