"""The published tables of the paper, their audit, and what we get for them."""
