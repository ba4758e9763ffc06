"""The areas of the run, in their order. Each module has `run(run)` and leaves nothing behind that
another one could stumble over."""
