"""Build, check, compare and publish the role cards, dialogues and annotations of esc-eval."""

ORDER = ("build", "check", "fill", "diff", "splits", "push", "sources", "roles")
