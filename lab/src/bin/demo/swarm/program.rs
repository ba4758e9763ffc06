//! The program that the demo's replicas run, a shell script, and what its records prove.
//!
//! Each replica numbers its records, and each record has a checksum over its replica and number. A
//! record counts as acknowledged once the kernel said that it is on the volume. A replica that
//! starts looks through what is there before it writes on, and gives up where anything is wrong.

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

/// For busybox' shell, with `SLOT` and `NODE` in its environment.
pub(super) const SCRIPT: &str = r#"
sum() { echo "$SLOT $1" | sha256sum | cut -d' ' -f1; }
touch /data/records
last=0
size=0
while read -r number check; do
    if [ "$number" != $((last + 1)) ] || [ "$check" != "$(sum "$number")" ]; then
        echo "record $((last + 1)) is wrong" >&2
        exit 1
    fi
    last=$number
    size=$((size + ${#number} + ${#check} + 2))
done < /data/records
truncate -s $size /data/records
echo "$NODE found $last" >> /data/starts
sync /data/starts
trap 'exit 0' TERM
while :; do
    next=$((last + 1))
    echo "$next $(sum $next)" >> /data/records
    sync /data/records || exit 1
    last=$next
    echo $last > /tmp/acknowledged
    sleep 0.1
done
"#;

/// Looks through a replica's records; how many there are.
///
/// # Errors
/// When one is missing or wrong.
pub(super) fn verify(slot: u32, records: &str) -> Result<u64> {
    let mut last = 0;
    for line in records.lines() {
        let (number, check) = line.split_once(' ').context("a record without checksum")?;
        let number: u64 = number.parse().context("a record without number")?;
        ensure!(
            number == last + 1,
            "replica {slot}: {number} follows {last}"
        );
        ensure!(
            check == sum(slot, number),
            "replica {slot}: record {number} is wrong"
        );
        last = number;
    }
    Ok(last)
}

fn sum(slot: u32, number: u64) -> String {
    let digest = Sha256::digest(format!("{slot} {number}\n"));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::{sum, verify};

    #[test]
    fn what_is_missing_or_wrong_is_found() {
        let line = |number| format!("{number} {}\n", sum(3, number));
        assert_eq!(verify(3, &(line(1) + &line(2))).unwrap(), 2);
        assert_eq!(verify(3, "").unwrap(), 0);
        for wrong in [
            line(2),
            line(1) + &line(3),
            "1 0\n".to_owned(),
            line(1) + "2",
        ] {
            assert!(verify(3, &wrong).is_err(), "{wrong}");
        }
        assert!(verify(4, &line(1)).is_err(), "another replica's");
    }
}
