"""Studies: correlation of metrics, generalisation of scorers, realism of seekers, probes of judges."""
