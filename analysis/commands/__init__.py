"""From files to reports: one module for each command of ``python -m analysis``."""
