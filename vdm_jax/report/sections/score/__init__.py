"""The sections of the page of score matching."""
