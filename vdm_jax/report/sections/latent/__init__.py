"""The sections of a latent diffusion model."""
