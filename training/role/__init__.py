"""ESC-Role: from conversations and recipe to checkpoint, and what it is worth."""
