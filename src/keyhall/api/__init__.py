"""HTTP endpoints outside `/v1`: health, readiness, metrics, and the front page."""
