"""Chapter 21: distillation, step by step."""
