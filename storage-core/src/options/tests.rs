//! Options as users give them: what is taken, what is refused and with which words.

use proptest::prelude::{any, proptest};

use super::{OptionDefaults, VolumeOptions};
use crate::error::{ErrorKind, Result};
use crate::filesystem::Filesystem;
use crate::size::Size;

fn parse(pairs: &[(&str, &str)]) -> Result<VolumeOptions> {
    parse_with(pairs, &OptionDefaults::default())
}

fn parse_with(pairs: &[(&str, &str)], defaults: &OptionDefaults) -> Result<VolumeOptions> {
    let owned = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    VolumeOptions::parse(owned, defaults)
}

#[test]
fn nothing_said_means_the_defaults() {
    let options = parse(&[]).unwrap();
    assert_eq!(options.size, None);
    assert_eq!(
        options.size_or(&OptionDefaults::default()),
        Size::from_gib(32)
    );
    assert_eq!(options.filesystem.kind, Filesystem::Xfs);
    assert!(options.selector.is_empty());
}

#[test]
fn everything_said_is_heard() {
    let options = parse(&[
        ("size", "20GB"),
        ("volume_label_selector", "purestorage.com/backend=block"),
        ("fstype", "ext4"),
        ("createoptions", "-m 0"),
        ("mountoptions", "noatime,discard"),
    ])
    .unwrap();
    assert_eq!(options.size, Some(Size::from_bytes(20_000_000_000)));
    assert_eq!(
        options.selector.to_string(),
        "purestorage.com/backend=block"
    );
    assert_eq!(options.filesystem.create_options, ["-m", "0"]);
    assert_eq!(options.filesystem.mount_options, ["noatime", "discard"]);
}

#[test]
fn default_options_belong_to_the_default_file_system() {
    let defaults = OptionDefaults {
        create_options: vec!["-q".to_owned()],
        mount_options: vec!["inode64".to_owned()],
        ..OptionDefaults::default()
    };
    let plain = parse_with(&[], &defaults).unwrap().filesystem;
    assert_eq!(plain.mount_options, ["inode64"]);
    let other = parse_with(&[("fstype", "ext4")], &defaults).unwrap();
    assert!(other.filesystem.create_options.is_empty());
    assert!(other.filesystem.mount_options.is_empty());
    let emptied = parse_with(&[("createoptions", "")], &defaults).unwrap();
    assert!(emptied.filesystem.create_options.is_empty());
}

#[test]
fn refusals_name_the_option() {
    use ErrorKind::{InvalidArgument, OutOfRange, Unsupported};
    for (pairs, kind, says) in [
        (
            &[("siez", "1G")][..],
            InvalidArgument,
            "`siez` is unknown; the options are size, ",
        ),
        (&[("Size", "1G")], InvalidArgument, "`Size`"),
        (&[("", "1G")], InvalidArgument, "unknown"),
        (&[("size", "1G"), ("size", "1G")], InvalidArgument, "twice"),
        (&[("size", "")], InvalidArgument, "option: size"),
        (&[("size", "big")], InvalidArgument, "option: size"),
        (&[("size", "0")], OutOfRange, "option: size"),
        (&[("size", "299MiB")], OutOfRange, "too small for xfs"),
        (
            &[("size", "1M"), ("fstype", "ext4")],
            OutOfRange,
            "too small for ext4",
        ),
        (&[("fstype", "")], InvalidArgument, "option: fstype"),
        (
            &[("mountoptions", "nouuid")],
            InvalidArgument,
            "option: mountoptions",
        ),
        (
            &[("createoptions", "-f")],
            InvalidArgument,
            "option: createoptions",
        ),
        (
            &[("volume_label_selector", "a=b c")],
            InvalidArgument,
            "option: volume_label_selector",
        ),
        (
            &[("import_from_src", "")],
            InvalidArgument,
            "option: import_from_src",
        ),
        (
            &[("import_from_src", "x"), ("size", "1G")],
            InvalidArgument,
            "`size` has no meaning beside `import_from_src`",
        ),
        (&[("source", "")], InvalidArgument, "option: source"),
        (&[("source", "a/b.c")], InvalidArgument, "option: source"),
        (
            &[("source", "a"), ("createoptions", "-q")],
            InvalidArgument,
            "`createoptions` has no meaning for a copy",
        ),
        (
            &[("iops_limit", "1k")],
            InvalidArgument,
            "option: iops_limit",
        ),
        (
            &[("iops_limit", "+5")],
            InvalidArgument,
            "option: iops_limit",
        ),
        (
            &[("bandwidth_limit", "fast")],
            InvalidArgument,
            "option: bandwidth_limit",
        ),
        (&[("exportrules", "*")], Unsupported, "`exportrules`"),
    ] {
        let error = parse(pairs).expect_err(says);
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn a_source_is_read_both_ways() {
    let read = |text| parse(&[("source", text)]).unwrap().source.unwrap();
    let plain = read("data");
    assert_eq!(plain.volume().unwrap().as_str(), "data");
    assert_eq!(plain.snapshot(), None);
    let pointed = read("db.v1.daily-3");
    assert_eq!(pointed.volume().unwrap().as_str(), "db.v1.daily-3");
    let (volume, snapshot) = pointed.snapshot().unwrap();
    assert_eq!((volume.as_str(), snapshot.as_str()), ("db.v1", "daily-3"));
    assert_eq!(read("db.v_1").snapshot(), None);
    assert_eq!(pointed.as_str(), "db.v1.daily-3");
}

#[test]
fn limits_are_read() {
    let options = parse(&[("iops_limit", "1000"), ("bandwidth_limit", "10M")]).unwrap();
    assert_eq!(options.limits.iops, Some(1000));
    assert_eq!(options.limits.bandwidth, Some(Size::from_mib(10)));
    assert!(parse(&[]).unwrap().limits.is_empty());
    let copy = parse(&[("source", "a"), ("size", "1M"), ("fstype", "ext4")]).unwrap();
    assert!(copy.kind_given && !copy.mount_options_given);
}

proptest! {
    #[test]
    fn hostile_options_never_panic(
        pairs in proptest::collection::vec(
            ("(size|fstype|createoptions|mountoptions|volume_label_selector|source|iops_limit|bandwidth_limit|\\PC{0,9})", any::<String>()),
            0..6,
        )
    ) {
        let _options = VolumeOptions::parse(pairs, &OptionDefaults::default());
    }
}
