//! The `tidemill` command: see the library of the same name.

use std::process::ExitCode;

fn main() -> ExitCode {
    tidemill::cli::main()
}
