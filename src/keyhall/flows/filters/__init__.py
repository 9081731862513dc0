"""The filter: rules on what goes in and what comes out, and what people do about them."""
