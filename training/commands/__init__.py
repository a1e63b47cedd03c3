"""Train ESC-Role and ESC-RANK from recipes, and show what they are worth on real conversations."""

ORDER = ("role", "choose_sampling", "evaluate_role", "memorised", "rank", "evaluate_rank")
