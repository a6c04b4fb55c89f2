//! The program `portcullis`.

use std::process::ExitCode;

use portcullis::cli::{self, Loaded, Predecessor};

fn main() -> ExitCode {
    cli::run(std::env::args_os(), serve)
}

fn serve(loaded: Loaded) -> ExitCode {
    match portcullis::gateway::run(loaded) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let message = format!("{error:#}");
            cli::complain(&message);
            if let Some(predecessor) = Predecessor::of_process() {
                predecessor.failed(&message);
            }
            ExitCode::FAILURE
        }
    }
}
