"""Measurements of speed and memory, each beside the official procedure and the limit of the machine."""
