//! The socket's file.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use adapter_docker::{SocketError, bind};
use tempfile::TempDir;
use tokio::net::UnixListener;

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn it_is_private_and_goes_with_its_server() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.sock");
    let socket = bind(&path).await.unwrap();
    assert_eq!(mode(&path), 0o600);
    drop(socket);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_folder_that_is_missing_is_named_and_not_made() {
    let folder = TempDir::new().unwrap();
    let missing = folder.path().join("new");
    let error = bind(&missing.join("x.sock")).await.unwrap_err();
    assert!(matches!(error, SocketError::NoFolder { .. }), "{error:?}");
    assert!(
        error.to_string().contains(missing.to_str().unwrap()),
        "{error}"
    );
    assert!(!missing.exists());
}

#[tokio::test]
async fn a_dead_servers_socket_is_replaced_and_a_live_ones_is_not() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.sock");
    // What kill -9 leaves: the file without its listener.
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let live = bind(&path).await.unwrap();
    assert!(matches!(bind(&path).await, Err(SocketError::InUse { .. })));
    drop(live);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_file_that_is_no_socket_stays() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.sock");
    std::fs::write(&path, "precious").unwrap();
    assert!(matches!(
        bind(&path).await,
        Err(SocketError::NotASocket { .. })
    ));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn another_servers_socket_is_not_removed() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.sock");
    let first = bind(&path).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    let second = UnixListener::bind(&path).unwrap();
    drop(first);
    assert!(path.exists());
    drop(second);
}
