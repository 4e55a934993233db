//! Simulated PVE nodes: the embedded default, the simulation of the tests, and stand-ins behind a real sshd.
