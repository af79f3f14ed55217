"""NeuRN and its rivals: layers, and how they are put into a network."""
