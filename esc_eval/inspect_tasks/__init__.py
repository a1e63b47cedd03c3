"""Our evaluation as tasks of Inspect (inspect-ai), and its logs as run folders; needs the extra ``inspect``."""
