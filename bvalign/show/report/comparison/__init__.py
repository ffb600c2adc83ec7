"""Several reports beside each other."""
