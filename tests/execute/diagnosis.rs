//! Each fault of a guest gets its cause named.
