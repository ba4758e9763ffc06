//! The licences of what is packaged: each Debian package's own statement, the texts that it refers
//! to, ours, and those of the crates in the binary; and a list of versions, for whoever wants the
//! sources.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::rootfs::RootFs;
use crate::stream::{cargo, program, read, workspace};

const DOC: &str = "/usr/share/doc";
const COMMON: &str = "/usr/share/common-licenses/";

/// Adds the licences of everything that is in there.
pub(super) fn add(root: &RootFs) -> Result<()> {
    let mut versions = String::new();
    let mut texts = BTreeSet::new();
    for package in packages(root)? {
        let statement = Path::new(DOC).join(&package).join("copyright");
        root.add_file(&statement, &statement)?;
        let text = std::fs::read(&statement).context("read a licence")?;
        texts.extend(common_texts(&String::from_utf8_lossy(&text)));
        let format = "-f=${source:Package} ${source:Version}: ${binary:Package} ${Version}\n";
        versions += &read(program("dpkg-query", &["-W", format, &package]))?;
    }
    for name in texts {
        let path = Path::new(COMMON).join(name);
        root.add_file(&path, &path)?;
    }
    root.write(Path::new(DOC).join("fairlead/debian-sources"), &versions)?;
    let licence = workspace().join("LICENSE");
    root.add_file(&licence, &Path::new(DOC).join("fairlead/LICENSE"))?;
    add_crates(root)
}

/// The Debian packages that the files came from; our own binary comes from none.
fn packages(root: &RootFs) -> Result<BTreeSet<String>> {
    let mut packages = BTreeSet::from(["ca-certificates".to_owned()]);
    for source in root.sources() {
        if source.starts_with("/etc/ssl") || !is_packaged(&source) {
            continue;
        }
        let owner = owner(&source)?;
        packages.insert(owner);
    }
    Ok(packages)
}

fn is_packaged(source: &Path) -> bool {
    ["/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc"]
        .iter()
        .any(|folder| source.starts_with(folder))
}

/// dpkg knows a file by the name that its package gave it, with or without `/usr`.
fn owner(source: &Path) -> Result<String> {
    let resolved = source.canonicalize().context("resolve a file")?;
    let short = |path: &Path| Some(Path::new("/").join(path.strip_prefix("/usr").ok()?));
    let names = [
        Some(source.to_owned()),
        short(source),
        short(&resolved),
        Some(resolved),
    ];
    for name in names.into_iter().flatten() {
        let command = program("dpkg-query", &["-S", &name.to_string_lossy()]);
        if let Ok(text) = crate::stream::try_read(command)
            && let Some(package) = text.split([':', ',']).next()
        {
            return Ok(package.to_owned());
        }
    }
    bail!("no Debian package has {}", source.display())
}

/// The names of the licence texts that a statement refers to.
fn common_texts(statement: &str) -> BTreeSet<String> {
    let after = statement.split(COMMON).skip(1);
    let name = |rest: &str| -> String {
        let fits = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        let name: String = rest.chars().take_while(fits).collect();
        name.trim_end_matches('.').to_owned()
    };
    after
        .map(name)
        .filter(|name| Path::new(COMMON).join(name).is_file())
        .collect()
}

/// The licence files that the crates of the binary bring, a folder a crate.
fn add_crates(root: &RootFs) -> Result<()> {
    let metadata = read(cargo(&["metadata", "--format-version=1", "--locked"]))?;
    let folders = manifest_folders(&metadata);
    let tree = read(cargo(&[
        "tree",
        "--package=adapter-docker",
        "--edges=normal",
        "--prefix=none",
        "--format={p}|{l}",
        "--locked",
    ]))?;
    let lines: BTreeSet<&str> = tree
        .lines()
        .map(|line| line.trim_end_matches(" (*)"))
        .filter(|line| !line.contains(" (/"))
        .collect();
    let mut list = String::new();
    for line in lines {
        let (name, licence) = line.split_once('|').unwrap_or((line, ""));
        list += &format!("{name}: {licence}\n");
        let name = name.trim_end_matches(" (proc-macro)");
        let folder = name.replacen(" v", "-", 1);
        let from = folders.iter().find(|path| path.ends_with(&folder));
        let from = from.with_context(|| format!("the sources of {name} are not here"))?;
        for entry in std::fs::read_dir(from)
            .context("read a crate's folder")?
            .flatten()
        {
            let file = entry.file_name().to_string_lossy().into_owned();
            let upper = file.to_uppercase();
            let wanted = [
                "LICENSE",
                "LICENCE",
                "COPYING",
                "COPYRIGHT",
                "NOTICE",
                "UNLICENSE",
            ]
            .iter()
            .any(|word| upper.starts_with(word));
            if wanted && entry.path().is_file() {
                let to = Path::new(DOC)
                    .join("fairlead/crates")
                    .join(&folder)
                    .join(file);
                root.add_file(&entry.path(), &to)?;
            }
        }
    }
    root.write(Path::new(DOC).join("fairlead/crates/list"), &list)
}

/// The folders of all manifests that cargo names. The one key is all that is wanted of its JSON, in
/// which paths have neither quotes nor escapes on any machine that builds this.
fn manifest_folders(metadata: &str) -> Vec<PathBuf> {
    let after = metadata.split("\"manifest_path\":\"").skip(1);
    after
        .filter_map(|rest| {
            Path::new(rest.split('"').next()?)
                .parent()
                .map(Path::to_owned)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_a_statement_names_are_found() {
        let statement = "see /usr/share/common-licenses/GPL-2.\n`/usr/share/common-licenses/GPL-2'";
        let expected = Path::new(COMMON)
            .join("GPL-2")
            .is_file()
            .then(|| "GPL-2".to_owned());
        assert_eq!(common_texts(statement), expected.into_iter().collect());
        assert!(common_texts("no text is named").is_empty());
    }

    #[test]
    fn folders_of_manifests_are_found() {
        let metadata = r#"{"packages":[{"manifest_path":"/r/a-1.0.0/Cargo.toml"},{"x":1,"manifest_path":"/r/b-2.0.0/Cargo.toml"}]}"#;
        let expected = ["/r/a-1.0.0", "/r/b-2.0.0"].map(PathBuf::from);
        assert_eq!(manifest_folders(metadata), expected);
    }
}
