//! Programs that embed Fairlead; see the `examples` beside this file.
