"""What the Python door and the command line call: evaluate, simulate, score, report, compare."""
