"""ESIM: explicit semantic interests, inferred offline before training (SPEC section 3)."""
