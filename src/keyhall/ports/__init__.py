"""What the world must provide: one protocol per port, each with the promises its adapters keep."""
