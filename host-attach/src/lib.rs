//! Linux: attach, format, mount and detach array volumes, crash-safe
