"""The page results/representations: codes of the same images compared, and which of them pays for itself."""
