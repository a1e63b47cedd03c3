"""Models of transformers in this process: batches that keep what they have read."""
