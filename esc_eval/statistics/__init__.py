"""Arrays in, estimates out: bootstrap by cluster, agreement, ranks, comparison, power."""

DRAWS = 2000
"""Bootstrap draws behind every printed interval, unless the user asks for another number."""
CONFIDENCE = 0.95
"""Coverage that every printed interval aims at, unless the user asks for another one."""
