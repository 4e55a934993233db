//! Streams, colour, prompt, progress: the only place that prints.
