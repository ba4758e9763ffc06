//! The `fairlead` command. Everything it does is in [`fairlead::cli`], where tests reach it.

use std::io;
use std::process::ExitCode;

fn main() -> ExitCode {
    let (out, err) = (io::stdout(), io::stderr());
    let code = fairlead::cli::run(std::env::args_os(), &mut out.lock(), &mut err.lock());
    ExitCode::from(code)
}
