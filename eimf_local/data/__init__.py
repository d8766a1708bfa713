"""Reading, preparing, splitting and storing interaction data; the embedded demo data."""
