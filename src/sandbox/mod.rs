//! Simulated PVE nodes: the embedded default, the simulation of the tests, and stand-ins behind a real sshd.

pub mod clock;
pub mod contents;
pub mod demo;
pub mod faults;
pub mod flock;
pub mod fs;
pub mod guest;
pub mod guests;
pub mod image_server;
pub mod leases;
pub mod node;
pub mod power;
pub mod process;
pub mod programs;
pub mod remote;
pub mod statd;
pub mod tools;
pub mod world;
