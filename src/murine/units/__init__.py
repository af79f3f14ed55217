"""Single neurons against single units of a network, and response-weighted maps."""
