"""The version: of the package, of a release, and of what a run records."""

__version__ = "0.2.0"
