//! Test networks: real hubs on one machine, simulated hubs by the thousand, scenarios, and a test that kills.
//!
//! Real hubs are the shipped programs as child processes, driven through their command lines as an operator would. Each hub
//! and officer has a software token of its own. Nothing here belongs on a machine that holds real keys: the PINs are fixed.

mod answers;
mod audit;
mod cli;
mod crash;
mod eventually;
mod figures;
mod fixture;
mod founding;
mod hub;
mod network;
mod process;
mod scenario;
mod sim;
mod story;
mod token;
mod topology;
mod torture;

fn main() -> std::process::ExitCode {
    cli::main()
}
