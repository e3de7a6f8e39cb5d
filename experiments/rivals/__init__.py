"""What the package is measured against: other ways to the same features, and the bare scan of the file."""
