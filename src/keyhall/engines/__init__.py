"""Who answers: adapters of the engine port."""
