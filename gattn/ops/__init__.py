"""The operator behind `attend`: a validated problem, and the backends that compute it."""
