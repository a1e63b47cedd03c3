"""A scorer of the seven dimensions from public ratings on neighbouring scales: crosswalk, fit and validity."""
