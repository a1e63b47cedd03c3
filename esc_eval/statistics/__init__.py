"""Arrays in, estimates out: bootstrap by cluster, agreement, ranks, comparison, power."""
