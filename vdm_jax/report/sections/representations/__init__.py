"""The sections of a page of codes, one file a record."""
