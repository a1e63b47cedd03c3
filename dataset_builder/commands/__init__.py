"""Build, check, compare and publish the role cards, dialogues and annotations of esc-eval."""

ORDER = ("build", "check", "diff", "splits", "push", "sources", "roles")
