"""Chapter 16: the Lipschitz bound."""
