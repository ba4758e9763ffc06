//! What the allow-lists let through, and what they must not.

use proptest::prelude::{any, proptest};
use proptest::{prop_assert, prop_assert_eq};

use super::{Filesystem, FilesystemSpec, parse_create_options, parse_mount_options};
use Filesystem::{Ext4, Xfs};

#[test]
fn file_systems_have_names_and_minimums() {
    for kind in Filesystem::ALL {
        assert_eq!(kind.to_string().parse::<Filesystem>().unwrap(), kind);
        let json = serde_json::to_string(&kind).unwrap();
        assert_eq!(json, format!("\"{kind}\""));
    }
    assert_eq!(Xfs.size_min().bytes(), 300 << 20);
    assert_eq!(Ext4.size_min().bytes(), 16 << 20);
    for unknown in ["", "XFS", "btrfs", "ext3", "xfs "] {
        let error = unknown.parse::<Filesystem>().expect_err(unknown);
        assert!(error.to_string().contains("ext4, xfs"), "{error}");
    }
}

#[test]
fn useful_mount_options_pass() {
    for (kind, text) in [
        (Ext4, ""),
        (Ext4, " "),
        (
            Ext4,
            "discard,noatime,data=journal,commit=30,barrier,barrier=1,stripe=64",
        ),
        (Ext4, " nosuid , nodev "),
        (
            Xfs,
            "inode64,largeio,swalloc,logbsize=256k,allocsize=64m,pquota",
        ),
    ] {
        assert!(parse_mount_options(kind, text).is_ok(), "{text}");
    }
    assert_eq!(
        parse_mount_options(Xfs, " discard, noatime").unwrap(),
        ["discard", "noatime"]
    );
}

#[test]
fn harmful_mount_options_are_named_with_the_allowed_ones() {
    for (kind, text) in [
        (Xfs, "nouuid"),
        (Xfs, "norecovery"),
        (Xfs, "logdev=/dev/sdb"),
        (Xfs, "data=ordered"),
        (Xfs, "logbsize=1"),
        (Xfs, "allocsize=-1"),
        (Ext4, "noload"),
        (Ext4, "barrier=0"),
        (Ext4, "nobarrier"),
        (Ext4, "data=writeback"),
        (Ext4, "errors=panic"),
        (Ext4, "journal_path=/dev/sdb"),
        (Ext4, "commit="),
        (Ext4, "commit=999999999999999999999"),
        (Ext4, "discard=1"),
        (Ext4, "inode64"),
        (Ext4, "ro"),
        (Ext4, "suid"),
        (Ext4, "bind"),
        (Ext4, "remount"),
        (Ext4, "loop=/dev/loop0"),
        (Ext4, "context=\"a\""),
        (Ext4, "noatime,,discard"),
        (Ext4, "noatime,"),
        (Ext4, "NOATIME"),
        (Ext4, "noatime discard"),
        (Ext4, "noatime\0"),
    ] {
        let error = parse_mount_options(kind, text).expect_err(text);
        let says = error.to_string();
        assert!(
            says.contains("allowed: ") || says.contains("it takes"),
            "{says}"
        );
    }
    let error = parse_mount_options(Xfs, "noatime,nouuid")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`nouuid`") && error.contains("inode64"),
        "{error}"
    );
}

#[test]
fn useful_create_options_pass() {
    for (kind, text) in [
        (Ext4, ""),
        (Ext4, "-q"),
        (
            Ext4,
            "-b 4096 -m 0.5 -i 16384  -E lazy_itable_init=0,lazy_journal_init=0",
        ),
        (
            Ext4,
            "-O ^resize_inode,64bit,has_journal -J size=64 -T largefile",
        ),
        (Ext4, "-E root_owner=1000:1000,nodiscard"),
        (Xfs, "-q -K"),
        (
            Xfs,
            "-b size=4k -m reflink=0,crc=1 -i size=512,maxpct=25 -l size=64m -s size=4096",
        ),
        (Xfs, "-d su=128k,sw=4,agcount=8"),
    ] {
        assert!(parse_create_options(kind, text).is_ok(), "{text}");
    }
    assert_eq!(
        parse_create_options(Xfs, " -m  crc=1\t-q").unwrap(),
        ["-m", "crc=1", "-q"]
    );
}

#[test]
fn harmful_create_options_are_refused() {
    for (kind, text) in [
        (Ext4, "-F"),
        (Ext4, "-qF"),
        (Ext4, "-q -F"),
        (Ext4, "-U random"),
        (Ext4, "-L x"),
        (Ext4, "-n"),
        (Ext4, "-S"),
        (Ext4, "-c"),
        (Ext4, "-d /etc"),
        (Ext4, "-z /tmp/undo"),
        (Ext4, "-J device=/dev/sdb"),
        (Ext4, "-J size=64,device=/dev/sdb"),
        (Ext4, "-O ^has_journal"),
        (Ext4, "-O journal_dev"),
        (Ext4, "-E offset=4096"),
        (Ext4, "-E test_fs"),
        (Ext4, "-b"),
        (Ext4, "-b -F"),
        (Ext4, "-b4096"),
        (Ext4, "-b 123"),
        (Ext4, "-b 65536"),
        (Xfs, "-b size=64k"),
        (Xfs, "-b size=123"),
        (Xfs, "-i size=100"),
        (Xfs, "-s size=9999999k"),
        (Ext4, "-b 4096 /dev/sdb"),
        (Ext4, "/dev/sdb"),
        (Ext4, "--"),
        (Ext4, "-m 5."),
        (Ext4, "-m -1"),
        (Xfs, "-f"),
        (Xfs, "-N"),
        (Xfs, "-L x"),
        (Xfs, "-m uuid=00000000-0000-0000-0000-000000000000"),
        (Xfs, "-l logdev=/dev/sdb"),
        (Xfs, "-l internal=0"),
        (Xfs, "-d file=1,name=/etc/passwd,size=1g"),
        (Xfs, "-d size=1g"),
        (Xfs, "-r rtdev=/dev/sdb"),
        (Xfs, "-p proto"),
        (Xfs, "-c options=/etc/x"),
        (Xfs, "-i size=512;reboot"),
        (Xfs, "-m"),
        (Xfs, "-m crc=1,"),
        (Xfs, "-m crc=2"),
        (Xfs, "-m crc"),
    ] {
        let error = parse_create_options(kind, text).expect_err(text);
        assert!(error.to_string().contains("create option"), "{error}");
    }
    assert!(parse_create_options(Ext4, &"-q ".repeat(400)).is_err());
}

#[test]
fn a_specification_from_elsewhere_is_checked_again() {
    let mut spec = FilesystemSpec::new(Ext4);
    assert!(spec.check().is_ok());
    spec.create_options = vec!["-F".to_owned()];
    assert!(spec.check().is_err());
    spec.create_options.clear();
    spec.mount_options = vec!["noatime,nouuid".to_owned()];
    assert!(spec.check().is_err());
}

proptest! {
    #[test]
    fn hostile_text_never_panics(text in any::<String>()) {
        for kind in Filesystem::ALL {
            let _create = parse_create_options(kind, &text);
            let _mount = parse_mount_options(kind, &text);
        }
    }

    #[test]
    fn no_accepted_mount_option_weakens_or_reaches_elsewhere(
        words in proptest::collection::vec("(no)?(suid|dev|exec|atime|uuid|barrier|recovery|load|discard|acl|quota)|commit=[0-9]{1,3}|(data|errors)=[a-z-]{1,10}|(log|rt)dev=/dev/x|inode64|remount|bind|x=y|", 0..5)
    ) {
        let text = words.join(",");
        for kind in Filesystem::ALL {
            if let Ok(options) = parse_mount_options(kind, &text) {
                for refused in ["suid", "dev", "exec", "nouuid", "nobarrier", "norecovery", "noload", "remount", "bind", "data=writeback", "errors=panic"] {
                    prop_assert!(!options.iter().any(|option| option == refused), "{}", text);
                }
                prop_assert!(options.iter().all(|option| !option.contains('/')));
                prop_assert_eq!(&parse_mount_options(kind, &options.join(",")).unwrap(), &options);
            }
        }
    }

    #[test]
    fn what_passes_passes_again_and_has_no_path(
        text in "(-[a-zA-Z]|size=[0-9]{1,3}[km]?|crc=1|[0-9]{1,4}| |quota|\\^|/dev/x|,){0,8}"
    ) {
        for kind in Filesystem::ALL {
            if let Ok(words) = parse_create_options(kind, &text) {
                prop_assert!(words.iter().all(|word| !word.contains('/')));
                prop_assert_eq!(&parse_create_options(kind, &words.join(" ")).unwrap(), &words);
                let forced = words.iter().any(|word| word == "-F" || word == "-f");
                prop_assert!(!forced);
            }
        }
    }
}
