//! The `fairlead` command. Everything it does is in [`fairlead::cli`], where tests reach it; what
//! is logged on the way as a warning (an object whose record cannot be understood) goes to standard
//! error.

use std::io;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Only a second subscriber could make it fail, and there is none.
    drop(
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::WARN)
            .with_ansi(false)
            .without_time()
            .with_target(false)
            .with_writer(io::stderr)
            .try_init(),
    );
    // Standard error is not locked: what is logged meanwhile goes there too.
    let (out, mut err) = (io::stdout(), io::stderr());
    let code = fairlead::cli::run(std::env::args_os(), &mut out.lock(), &mut err);
    ExitCode::from(code)
}
