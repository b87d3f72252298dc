"""Lists in files: of videos to ingest, and of annotated spans from released datasets."""
