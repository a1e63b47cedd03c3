"""What every training shares: recipes, rows, the loop, what lies beside the weights, what it costs."""
