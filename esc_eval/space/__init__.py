"""A public board: the pages of ``view`` over released datasets, and a form by which runs are handed in."""
