"""The playground: keys that live for an hour, and the count of a conversation before it is sent."""
