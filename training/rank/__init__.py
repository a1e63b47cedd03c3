"""ESC-RANK: from ratings and recipe to checkpoint."""
