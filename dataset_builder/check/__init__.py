"""Is a build sound? Rules on files and on rows."""
