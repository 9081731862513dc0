"""Rules on text: records, how they are compiled, and the scan of whole texts and of streams."""
