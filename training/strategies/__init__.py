"""The classifier of support strategies: fitted to ESConv's labelled turns, and measured on conversations held out."""
