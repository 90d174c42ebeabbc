"""Networks. `registry.make_model` builds the one that a configuration names."""
