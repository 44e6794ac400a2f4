"""Variational diffusion models with a learned code, and the times at which features are destroyed and decided."""
