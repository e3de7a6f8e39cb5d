"""Part of peculiar."""
