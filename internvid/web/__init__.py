"""Videos of the web: where they are found, what may be taken, how they are fetched, and what goes wrong with that."""
