"""The sections of a DDPM alone."""
