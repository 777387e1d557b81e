//! Rows: sources, provider-side policy, deltas and landed tables. Runs in the worker process.
