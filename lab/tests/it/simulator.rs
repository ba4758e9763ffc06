//! The simulator as a program: killed and started again on the same state.

use lab::array_rest::ArrayRest;
use lab::environment::{Need, ready};
use lab::process::find_binary;
use lab::simulator::Simulator;

#[tokio::test]
async fn arrays_come_back_after_a_kill() {
    if !ready(&[Need::Root, Need::Fuse]) {
        return;
    }
    if find_binary("array-sim").is_err() {
        println!("SKIPPED: array-sim is not built (cargo build --workspace --bins)");
        return;
    }
    let folder = tempfile::Builder::new().prefix("fl").tempdir().unwrap();
    let mut simulator = Simulator::start(folder.path(), &["north", "south"])
        .await
        .unwrap();
    let before = simulator.arrays().to_vec();
    assert_eq!(before.len(), 2);
    let config = folder.path().join("pure.json");
    simulator.write_config(&config, "lab").unwrap();
    let text = std::fs::read_to_string(&config).unwrap();
    assert!(
        text.contains(&before[1].address) && text.contains("\"SanType\": \"LOOP\""),
        "{text}"
    );

    simulator.kill_9().await.unwrap();
    assert!(
        std::fs::read_dir(&before[0].luns).is_err(),
        "a dead LUN folder answers"
    );
    simulator.start_again().await.unwrap();
    for (old, new) in before.iter().zip(simulator.arrays()) {
        assert_eq!((&old.address, &old.token), (&new.address, &new.token));
        assert_eq!(std::fs::read_dir(&new.luns).unwrap().count(), 0);
        let rest = ArrayRest::login(&new.address, &new.token).await.unwrap();
        assert!(rest.texts("volumes", "name").await.unwrap().is_empty());
    }
    simulator.stop().await.unwrap();
    assert!(lab::mounts::mounts_under(folder.path()).unwrap().is_empty());
}
