//! A public suite that every backend and attacher must pass
