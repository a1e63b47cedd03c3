"""From conversations to role cards: extract, filter, review, classify; every input, answer and decision is kept."""
