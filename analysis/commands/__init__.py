"""Statistics of ratings: every number with its interval, from one table of ratings.

A ratings table has the columns dialogue_id, rater, dimension, score (blank = missing) as CSV, JSON Lines or Parquet;
card, model, stage, order, time, language, category are used where present. Tables go to standard output; --json,
--markdown and --latex write the same object to files.
"""

ORDER = ("agreement", "correlation", "scorer", "probes", "leaderboard", "generalisation", "realism")
