//! Cut off anywhere, the next apply converges.
