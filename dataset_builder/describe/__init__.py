"""What describes a build: manifest, dataset card, Croissant."""
