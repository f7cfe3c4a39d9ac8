"""Where work runs. ``cpus`` says how many processors there are; nothing here imports torch before work does."""
