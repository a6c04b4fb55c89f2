//! The program `portcullis`.

use std::process::ExitCode;

use portcullis::cli::{self, Loaded};

fn main() -> ExitCode {
    cli::run(std::env::args_os(), serve)
}

fn serve(_: Loaded) -> ExitCode {
    ExitCode::SUCCESS
}
