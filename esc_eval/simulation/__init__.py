"""Role cards to dialogues: the plan, the run on disk, supporters, cost."""
