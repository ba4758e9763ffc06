//! The one REST client under every array backend
