//! Many at once, against the program itself: it answers whoever asks in earnest, takes a bounded
//! number of places, descriptors, bytes and log lines, and is as before when it is over.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lab::environment;
use serde_json::json;
use tokio::task::JoinSet;

use crate::raw::{Answer, Connection, cut, request};
use crate::target::{Target, connect, is_closed, many_files};

/// More than the program serves at once.
const CROWD: usize = 1400;

/// What abusers do, again and again until they are told to stop.
#[derive(Clone, Copy, Debug)]
enum Abuse {
    /// Connect and say nothing.
    Silent,
    /// Send a byte at a time.
    Drip,
    /// Send a header and half a body.
    HalfABody,
    /// Close their side and stay.
    HalfOpen,
    /// Ask for lists and do not read them.
    Deaf,
    /// Send requests as fast as they go, and hang up.
    Pipeline,
    /// Send what is no HTTP.
    Noise,
    /// Ask for something and hang up.
    HangUp,
}

const ABUSES: [Abuse; 8] = [
    Abuse::Silent,
    Abuse::Drip,
    Abuse::HalfABody,
    Abuse::HalfOpen,
    Abuse::Deaf,
    Abuse::Pipeline,
    Abuse::Noise,
    Abuse::HangUp,
];

impl Abuse {
    /// Once.
    async fn commit(self, connection: &mut Connection) {
        let rest = Duration::from_millis(200);
        let list = request("/VolumeDriver.List", "{}");
        match self {
            Self::Silent => tokio::time::sleep(rest * 10).await,
            Self::Drip => {
                for byte in list.bytes().take(40) {
                    if !connection.send_bytes(&[byte]).await {
                        return;
                    }
                    tokio::time::sleep(rest / 4).await;
                }
            }
            Self::HalfABody => {
                let whole = request("/VolumeDriver.Create", "{\"Name\":\"half\"}");
                connection.send(cut(&whole, 4)).await;
                tokio::time::sleep(rest * 5).await;
            }
            Self::HalfOpen => {
                connection.send(cut(&list, list.len() - 20)).await;
                connection.close_own_side().await;
                tokio::time::sleep(rest * 5).await;
            }
            Self::Deaf => {
                for _ in 0..200 {
                    let sent = connection.send_bytes(list.as_bytes());
                    if tokio::time::timeout(rest, sent).await.is_err() {
                        break;
                    }
                }
                tokio::time::sleep(rest * 5).await;
            }
            Self::Pipeline => {
                let many = request("/VolumeDriver.Get", "{\"Name\":\"../x\"}").repeat(50);
                drop(tokio::time::timeout(rest, connection.send_bytes(many.as_bytes())).await);
            }
            Self::Noise => {
                let noise: Vec<u8> = (0..=255).cycle().take(40_000).collect();
                connection.send_bytes(&noise).await;
            }
            Self::HangUp => {
                let remove = request("/VolumeDriver.Remove", "{\"Name\":\"nobody\"}");
                connection.send(&remove).await;
            }
        }
    }
}

/// A crowd of abusers of every kind, for as long as it is kept.
struct Crowd {
    abusers: JoinSet<()>,
    committed: Arc<AtomicU64>,
}

impl Crowd {
    fn gather(socket: &Path) -> Self {
        let committed = Arc::new(AtomicU64::new(0));
        let mut abusers = JoinSet::new();
        for (_, abuse) in (0..CROWD).zip(ABUSES.iter().copied().cycle()) {
            let (socket, committed) = (socket.to_owned(), Arc::clone(&committed));
            abusers.spawn(async move {
                loop {
                    let mut connection = connect(&socket).await;
                    abuse.commit(&mut connection).await;
                    committed.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        Self { abusers, committed }
    }

    fn committed(&self) -> u64 {
        self.committed.load(Ordering::Relaxed)
    }

    async fn leave(mut self) {
        self.abusers.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_abusers_keeps_nobody_from_his_answer() {
    if !many_files(4096) {
        println!("SKIPPED: not permitted to have 4096 open files");
        return;
    }
    let mut target = Target::start().await;
    let files = target.open_files();
    let crowd = Crowd::gather(&target.socket());
    let (asked, committed) = if environment::long() {
        (1000, 100_000)
    } else {
        (60, 3_000)
    };
    let start = Instant::now();
    let (mut answered, mut slowest) = (0, Duration::ZERO);
    // At least so many answers in earnest, amid at least so many offences.
    while answered < asked || crowd.committed() < committed {
        let began = Instant::now();
        target.answers().await;
        slowest = slowest.max(began.elapsed());
        answered += 1;
        let most = target.open_files();
        assert!(most <= 2048, "{most} open files");
    }
    println!(
        "{answered} answers, the slowest after {slowest:?}, amid {} offences in {:?}",
        crowd.committed(),
        start.elapsed()
    );
    crowd.leave().await;
    // The array's sessions may have come since.
    target.open_files_fall_to(files + 8).await;
    assert_eq!(target.volumes().len(), 1, "only the one that was there");
    let lines = target.log().lines().count();
    assert!(lines < 20_000 || environment::long(), "{lines} log lines");
    target.end().await;
}

/// The limits as they are, and so ten seconds of waiting.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_not_go_on_is_closed() {
    let target = Target::start().await;
    let list = request("/VolumeDriver.List", "{}");
    let beginnings = [
        String::new(),
        "P".to_owned(),
        cut(&list, 4).to_owned(),
        "POST /VolumeDriver.List HTTP/1.1\r\nHost: \r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{"
            .to_owned(),
    ];
    let mut open = JoinSet::new();
    for beginning in beginnings {
        let mut connection = connect(&target.socket()).await;
        open.spawn(async move {
            connection.send(&beginning).await;
            assert!(is_closed(&mut connection).await, "{beginning:?}");
        });
    }
    let mut connection = connect(&target.socket()).await;
    open.spawn(async move {
        // A byte a second, for ever.
        let header = "POST /VolumeDriver.List HTTP/1.1\r\nHost: \r\nX: ";
        let mut bytes = header.bytes().chain(std::iter::repeat(b'x'));
        let start = Instant::now();
        while connection.send_bytes(&[bytes.next().unwrap()]).await {
            assert!(
                start.elapsed() < crate::target::PATIENCE,
                "it is served for ever"
            );
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    while let Some(ended) = open.join_next().await {
        ended.unwrap();
    }
    target.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_wait_for_a_silent_array_are_so_many_and_no_more() {
    if !many_files(4096) {
        println!("SKIPPED: not permitted to have 4096 open files");
        return;
    }
    let target = Target::start().await;
    target.array().set_silent(true);
    let create = |name: &str| {
        let body = json!({"Name": name, "Opts": null}).to_string();
        request("/VolumeDriver.Create", &body)
    };
    // On one volume.
    let mut waiting = Vec::new();
    let mut refused = 0;
    for _ in 0..80 {
        let mut connection = connect(&target.socket()).await;
        connection.send(&create("same")).await;
        waiting.push(connection);
    }
    // Those who came last, most of all.
    for connection in waiting.iter_mut().rev() {
        if let Some(answer) = connection.receive_soon(Duration::from_millis(500)).await {
            assert_eq!(answer.status(), 503, "{answer:?}");
            assert!(answer.error().contains("64 calls on this volume"));
            refused += 1;
        }
        if refused == 16 {
            break;
        }
    }
    assert_eq!(refused, 16, "of 80 calls on a volume, 64 wait");
    // On all, by clients that hang up: their calls go on.
    for number in 0..600 {
        let mut connection = connect(&target.socket()).await;
        connection.send(&create(&format!("n{number}"))).await;
    }
    let full = async {
        loop {
            let answer = target.exchange(&create("one-more")).await;
            let text = answer.error();
            if text.contains("512 calls wait already") {
                assert_eq!(answer_status(&target, &create("one-more")).await, 503);
                return;
            }
        }
    };
    tokio::time::timeout(crate::target::PATIENCE, full)
        .await
        .unwrap();
    // What is known is answered all the same, and what is not is not denied.
    target.answers().await;
    let unknown = target.call("Get", json!({"Name": "unknown"})).await;
    assert_eq!(unknown, Answer::Closed);
    target.call("List", json!({})).await.ok();
    target.array().set_silent(false);
    drop(waiting);
    target.end().await;
}

async fn answer_status(target: &Target, text: &str) -> u16 {
    target.exchange(text).await.status()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_descriptors_it_goes_on_and_does_not_spin() {
    let mut target = Target::start().await;
    let files = target.open_files();
    target.limit_open_files(files as u64 + 24);
    let mut silent = Vec::new();
    for _ in 0..200 {
        if let Ok(connection) = Connection::try_open(&target.socket()).await {
            silent.push(connection);
        }
        if silent.len() % 20 == 0 {
            target.answers().await;
        }
    }
    assert!(silent.len() > 60, "{} connections", silent.len());
    for _ in 0..20 {
        target.answers().await;
    }
    let (before, began) = (target.processor_ticks(), Instant::now());
    while began.elapsed() < Duration::from_secs(2) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let used = target.processor_ticks() - before;
    assert!(used < 100, "{used} ticks of 200: it spins");
    let complaints = target.log().matches("could not be accepted").count();
    assert!((1..=3).contains(&complaints), "{complaints} lines about it");
    drop(silent);
    target.open_files_fall_to(files + 8).await;
    target.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_refusals_does_not_flood_the_log() {
    let target = Target::start().await;
    let bad = request("/VolumeDriver.Create", "{\"Name\":\"../x\"}");
    let mut flood = JoinSet::new();
    for _ in 0..20 {
        let (bad, socket) = (bad.clone(), target.socket());
        flood.spawn(async move {
            let mut connection = connect(&socket).await;
            for _ in 0..500 {
                connection.send(&bad).await;
                assert_eq!(connection.receive().await.status(), 400);
            }
        });
    }
    while let Some(ended) = flood.join_next().await {
        ended.unwrap();
    }
    let told = async {
        while !target.log().contains("log lines were left out") {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(crate::target::PATIENCE, told)
        .await
        .expect("it says what it left out");
    let refused = target.log().matches("refused").count();
    // The burst, and ten a second for as long as it took.
    assert!((2000..6000).contains(&refused), "{refused} lines of 10000");
    target.end().await;
}
