//! The plugin as a service: the units that are shipped, and what systemd does for a socket that it
//! passes on, done here by hand.

use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lab::environment::{Need, ready};
use lab::process::{Guard, Program, find_binary};
use lab::simulator::write_config;
use lab::unix_http;
use lab::wait::{self, Seen};
use serde_json::json;
use tempfile::TempDir;

use crate::world::{PATIENCE, World};

const UNITS: [&str; 2] = ["fairlead-docker.service", "fairlead-docker.socket"];

/// `systemd-analyze security` rates from 0 (tight) to 100; what is left is what a program needs
/// that mounts for others: no file system of its own, `CAP_SYS_ADMIN`, the network, root.
const EXPOSURE_MAX: u32 = 50;

/// Directives that give a service a mount namespace of its own (systemd.exec(5)).
const HIDE_MOUNTS: [&str; 22] = [
    "BindPaths",
    "BindReadOnlyPaths",
    "ExecPaths",
    "InaccessiblePaths",
    "MountFlags",
    "NoExecPaths",
    "PrivateDevices",
    "PrivateIPC",
    "PrivateMounts",
    "PrivateTmp",
    "PrivateUsers",
    "ProcSubset",
    "ProtectControlGroups",
    "ProtectHome",
    "ProtectKernelLogs",
    "ProtectKernelModules",
    "ProtectKernelTunables",
    "ProtectProc",
    "ProtectSystem",
    "ReadOnlyPaths",
    "ReadWritePaths",
    "TemporaryFileSystem",
];

fn unit(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/systemd");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// The values of a directive, in order.
fn values<'a>(unit: &'a str, directive: &str) -> Vec<&'a str> {
    let lines = unit.lines().filter_map(|line| line.split_once('='));
    lines
        .filter(|(name, _)| *name == directive)
        .map(|(_, value)| value)
        .collect()
}

#[test]
fn the_service_shares_its_mounts_and_the_socket_is_private() {
    let service = unit("fairlead-docker.service");
    for directive in HIDE_MOUNTS {
        assert_eq!(values(&service, directive), [""; 0], "{directive}");
    }
    assert_eq!(values(&service, "Before"), ["docker.service"]);
    let socket = unit("fairlead-docker.socket");
    assert_eq!(values(&socket, "Before"), ["docker.service"]);
    assert_eq!(values(&socket, "SocketMode"), ["0600"]);
    assert_eq!(values(&socket, "DirectoryMode"), ["0700"]);
    let path = format!("{}/fairlead.sock", adapter_docker::PLUGIN_FOLDER);
    assert_eq!(values(&socket, "ListenStream"), [path]);
}

#[tokio::test]
async fn systemd_accepts_the_units_and_finds_them_tight_enough() {
    if !ready(&[Need::Tool("systemd-analyze")]) {
        return;
    }
    let folder = TempDir::new().unwrap();
    let program = find_binary("fairlead-docker").unwrap();
    let mut paths = Vec::new();
    for name in UNITS {
        let text = unit(name).replace("/usr/bin/fairlead-docker", program.to_str().unwrap());
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        paths.push(path);
    }
    let verify = Program::new("systemd-analyze").args(["verify", "--man=no"]);
    let verified = verify.args(&paths).run().await.unwrap();
    assert!(verified.success(), "{}", verified.stderr);
    assert_eq!(verified.stderr, "", "a misspelt directive is only told");

    let rated = Program::new("systemd-analyze")
        .args(["security", "--offline=yes", "--no-pager"])
        .arg(format!("--threshold={EXPOSURE_MAX}"))
        .arg(&paths[0])
        .run()
        .await
        .unwrap();
    let verdict = rated.stdout.lines().last().unwrap_or_default();
    println!("{verdict}");
    assert!(rated.success(), "{}{}", rated.stdout, rated.stderr);
    assert!(verdict.contains("exposure level"), "{}", rated.stdout);
}

/// A plugin that is started as systemd does, with files from descriptor 3 on.
struct Service {
    folder: TempDir,
    program: PathBuf,
}

impl Service {
    /// `None`, with the reason printed, where the machine lacks something.
    fn new() -> Option<Self> {
        let tools = [Need::Tool("mkfs.ext4"), Need::Tool("mkfs.xfs")];
        if !ready(&[&[Need::Root, Need::Loop], &tools[..]].concat()) {
            return None;
        }
        let folder = TempDir::new().unwrap();
        // Nobody answers there, and nobody has to.
        let entry = json!({"MgmtEndPoint": "127.0.0.1:1", "APIToken": "t", "SanType": "LOOP",
                           "LoopFolder": folder.path()});
        write_config(&folder.path().join("pure.json"), "it", &[entry]).unwrap();
        let program = find_binary("fairlead-docker").unwrap();
        Some(Self { folder, program })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn socket(&self) -> PathBuf {
        self.path("x.sock")
    }

    /// `pid` is a shell's word; `$$` is the plugin's own process.
    fn program(&self, passed: Option<OwnedFd>, pid: &str, count: usize) -> Program {
        let script = format!(
            "exec 3<&0 4<&0 0</dev/null; export LISTEN_PID={pid} LISTEN_FDS={count}; exec \"$0\" \"$@\""
        );
        let program = Program::new("sh")
            .args(["-c", &script])
            .arg(&self.program)
            .arg("--config")
            .arg(self.path("pure.json"))
            .arg("--state-dir")
            .arg(self.path("state"))
            .arg("--socket")
            .arg(self.socket())
            .deadline(PATIENCE);
        match passed {
            Some(passed) => program.stdin(passed),
            None => program,
        }
    }

    fn start(&self, program: &Program) -> Guard {
        program.start(&self.path("log")).unwrap()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    async fn call(&self) -> anyhow::Result<u16> {
        let path = "/VolumeDriver.Capabilities";
        let answer = unix_http::request(&self.socket(), "POST", path, "{}", PATIENCE).await?;
        Ok(answer.status)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_before_the_start_is_answered_and_the_socket_stays_the_managers() {
    let Some(service) = Service::new() else {
        return;
    };
    let listener = UnixListener::bind(service.socket()).unwrap();
    let manager = UnixDatagram::bind(service.path("notify")).unwrap();
    manager.set_nonblocking(true).unwrap();
    let receive = || {
        let mut bytes = [0; 256];
        Ok(match manager.recv(&mut bytes) {
            Ok(length) => Seen::Ready(String::from_utf8_lossy(&bytes[..length]).trim().to_owned()),
            Err(error) => Seen::NotYet(format!("{error}; {}", service.log())),
        })
    };
    let told = |what| wait::until(what, PATIENCE, || std::future::ready(receive()));

    let passed = listener.try_clone().unwrap();
    let program = service.program(Some(passed.into()), "$$", 1);
    let program = program.env("NOTIFY_SOCKET", service.path("notify"));
    for _start in 0..2 {
        let mut early = UnixStream::connect(service.socket()).unwrap();
        let request = "POST /VolumeDriver.Capabilities HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}";
        std::io::Write::write_all(&mut early, request.as_bytes()).unwrap();
        let mut plugin = service.start(&program);
        assert_eq!(told("the start").await.unwrap(), "READY=1");
        let answer = tokio::task::spawn_blocking(move || {
            early.set_read_timeout(Some(PATIENCE)).unwrap();
            std::io::read_to_string(early).unwrap()
        });
        let answer = answer.await.unwrap();
        assert!(answer.contains("global"), "{answer}\n{}", service.log());
        assert_eq!(service.call().await.unwrap(), 200);

        let status = plugin.stop(PATIENCE).await.unwrap();
        assert!(status.success(), "{status}: {}", service.log());
        assert_eq!(told("the stop").await.unwrap(), "STOPPING=1");
        assert!(service.socket().exists(), "systemd's socket was removed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_for_another_process_is_not_taken() {
    let Some(service) = Service::new() else {
        return;
    };
    let elsewhere = UnixListener::bind(service.path("other.sock")).unwrap();
    for (pid, passed) in [("1", Some(elsewhere.into())), ("$$", None)] {
        let count = usize::from(passed.is_some());
        let mut plugin = service.start(&service.program(passed, pid, count));
        let answered = wait::until("its own socket answers", PATIENCE, async || {
            Ok(match service.call().await {
                Ok(status) => Seen::Ready(status),
                Err(error) => Seen::NotYet(format!("{error:#}; {}", service.log())),
            })
        });
        assert_eq!(answered.await.unwrap(), 200);
        plugin.stop(PATIENCE).await.unwrap();
        assert!(!service.socket().exists(), "its own socket is left");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_ours_is_named() {
    let Some(service) = Service::new() else {
        return;
    };
    let other = UnixListener::bind(service.path("other.sock")).unwrap();
    let (stream, _peer) = UnixStream::pair().unwrap();
    let datagram = UnixDatagram::bind(service.path("datagram")).unwrap();
    let file = std::fs::File::open(service.path("pure.json")).unwrap();
    let cases: [(OwnedFd, usize, &str); 5] = [
        (
            other.try_clone().unwrap().into(),
            1,
            "other.sock, and the driver's is",
        ),
        (other.into(), 2, "2 sockets instead of one"),
        (stream.into(), 1, "a socket that does not listen"),
        (datagram.into(), 1, "not a valid unix stream socket"),
        (file.into(), 1, "is not a socket"),
    ];
    for (passed, count, expected) in cases {
        let ended = service
            .program(Some(passed), "$$", count)
            .run()
            .await
            .unwrap();
        assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
        let said = ended.stderr.lines().last().unwrap_or_default();
        assert!(said.contains("the service manager passed"), "{said}");
        assert!(said.contains(expected), "{said}");
        assert!(!service.socket().exists());
    }
}

/// The service has no other capabilities than these; `setpriv` takes the others away as systemd
/// does.
#[tokio::test(flavor = "multi_thread")]
async fn the_capabilities_of_the_service_are_enough() {
    if !ready(&[Need::Tool("setpriv")]) {
        return;
    }
    let Some(mut world) = World::start(false, &[]).await else {
        return;
    };
    world.plugin.stop().await.unwrap();
    let service = unit("fairlead-docker.service");
    let granted = values(&service, "CapabilityBoundingSet");
    assert_eq!(granted.len(), 1);
    let kept = granted[0]
        .replace("CAP_", ",+")
        .replace(' ', "")
        .to_lowercase();
    let socket = world.plugin.socket();
    let program = Program::new("setpriv")
        .args(["--no-new-privs", "--inh-caps=-all"])
        .arg(format!("--bounding-set=-all{kept}"))
        .arg(find_binary("fairlead-docker").unwrap())
        .arg("--config")
        .arg(world.folder().join("pure.json"))
        .arg("--state-dir")
        .arg(world.plugin.state())
        .arg("--socket")
        .arg(&socket);
    let mut plugin = program.start(&world.folder().join("setpriv.log")).unwrap();
    plugin.wait_for_log("ready_ms", PATIENCE).await.unwrap();
    for kind in ["ext4", "xfs"] {
        let options = json!({"size": "300MiB", "fstype": kind});
        for (call, body) in [
            ("Create", json!({"Name": kind, "Opts": options})),
            ("Mount", json!({"Name": kind, "ID": "i"})),
            ("Unmount", json!({"Name": kind, "ID": "i"})),
            ("Mount", json!({"Name": kind, "ID": "i"})),
            ("Unmount", json!({"Name": kind, "ID": "i"})),
            ("Remove", json!({"Name": kind})),
        ] {
            let answer = world
                .plugin
                .call(&format!("VolumeDriver.{call}"), &body)
                .await;
            assert!(
                answer.is_ok(),
                "{call} {kind}: {answer:?}\n{}",
                plugin.log_tail(40)
            );
        }
    }
    plugin.stop(Duration::from_secs(30)).await.unwrap();
    world.plugin.start_again().await.unwrap();
    world.end().await;
}
