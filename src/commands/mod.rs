//! One file a verb, read top-down: the only place where the layers meet.
