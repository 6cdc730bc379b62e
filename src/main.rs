//! The command `sklic`.

use std::process::ExitCode;

fn main() -> ExitCode {
    match sklic::cli::run() {
        Ok(status) => status,
        Err(fault) => {
            eprintln!("sklic: {fault:#}");
            ExitCode::FAILURE
        }
    }
}
