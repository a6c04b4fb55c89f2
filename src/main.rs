//! The program `portcullis`.

use std::process::ExitCode;

use portcullis::cli::{self, Loaded};

fn main() -> ExitCode {
    cli::run(std::env::args_os(), serve)
}

fn serve(loaded: Loaded) -> ExitCode {
    match portcullis::gateway::run(loaded) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            cli::complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
