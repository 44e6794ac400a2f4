"""The page results/representations: many codes side by side, and what they decide."""
