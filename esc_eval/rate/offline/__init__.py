"""Rating without a server: sheets that are sent out and come back, and tasks for Label Studio and Argilla."""
