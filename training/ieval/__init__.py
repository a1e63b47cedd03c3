"""The iEval study: what each way to a scorer is worth against people's ratings."""
