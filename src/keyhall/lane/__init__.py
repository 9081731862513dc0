"""The fast path: HTTP for `/v1`, and the coroutines it steps without a Task each."""
