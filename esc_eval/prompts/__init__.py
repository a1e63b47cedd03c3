"""What models are asked: rubrics and protocols as data, and the official wording from the user's checkout."""
