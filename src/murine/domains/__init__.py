"""Images and labels of domains, their preparation, and corruptions."""
