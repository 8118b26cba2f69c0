use std::process::ExitCode;

fn main() -> ExitCode {
    cresset_node::cli::main()
}
