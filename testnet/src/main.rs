//! Test networks: real hubs on one machine, simulated hubs by the thousand, scenarios.
#![cfg_attr(not(test), warn(dead_code))]

mod eventually;
mod process;
mod sim;
mod topology;

fn main() {}
