"""Models behind a chat-completions server."""
