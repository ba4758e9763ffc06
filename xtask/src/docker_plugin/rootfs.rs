//! A root file system of chosen files, and of what these need: libraries by `ldd`.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::stream::{program, read};

/// `/lib` and the others are links into `/usr`, as Debian has them; loaders are named by the link.
const LINKS: [&str; 4] = ["bin", "sbin", "lib", "lib64"];

/// Folders that are mounted on. Docker makes the others.
const FOLDERS: [&str; 6] = [
    "etc/pure-docker-plugin",
    "luns",
    "run/docker/plugins",
    "tmp",
    "var/lib/fairlead",
    "volumes",
];

/// A root file system in the making.
#[derive(Debug)]
pub(super) struct RootFs {
    folder: PathBuf,
    /// Where its files came from, on this machine.
    sources: RefCell<BTreeSet<PathBuf>>,
    bytes: RefCell<u64>,
}

impl RootFs {
    /// An empty one.
    pub(super) fn make(folder: &Path) -> Result<Self> {
        for name in FOLDERS {
            let path = folder.join(name);
            std::fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        }
        for name in LINKS {
            let target = Path::new("usr").join(name);
            std::fs::create_dir_all(folder.join(&target)).context("make /usr")?;
            symlink(&target, folder.join(name)).context("link into /usr")?;
        }
        Ok(Self {
            folder: folder.to_owned(),
            sources: RefCell::default(),
            bytes: RefCell::new(0),
        })
    }

    /// Copies a program with every library that its loader would load.
    pub(super) fn add_program(&self, from: &Path, to: &Path) -> Result<()> {
        self.add_file(from, to)?;
        let text = read(program("ldd", &[&from.to_string_lossy()]))?;
        for library in libraries(&text).with_context(|| from.display().to_string())? {
            self.add_file(&library, &merged(&library))?;
        }
        Ok(())
    }

    /// Copies one file, what a link leads to in its place; as root's, closed to nobody.
    pub(super) fn add_file(&self, from: &Path, to: &Path) -> Result<()> {
        let target = self.place(to)?;
        if target.exists() {
            return Ok(());
        }
        let copied = std::fs::copy(from, &target);
        *self.bytes.borrow_mut() += copied.with_context(|| format!("copy {}", from.display()))?;
        let mode = target
            .metadata()
            .context("look at a copy")?
            .permissions()
            .mode();
        let executable = mode & 0o100 != 0;
        let mode = if executable { 0o755 } else { 0o644 };
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&target, permissions).context("open a copy")?;
        self.sources.borrow_mut().insert(from.to_owned());
        Ok(())
    }

    /// Writes a file of our own.
    pub(super) fn write(&self, to: impl AsRef<Path>, text: &str) -> Result<()> {
        let target = self.place(to.as_ref())?;
        std::fs::write(&target, text).with_context(|| format!("write {}", target.display()))
    }

    /// Where its files came from.
    pub(super) fn sources(&self) -> Vec<PathBuf> {
        self.sources.borrow().iter().cloned().collect()
    }

    pub(super) fn files(&self) -> usize {
        self.sources.borrow().len()
    }

    pub(super) fn bytes(&self) -> u64 {
        *self.bytes.borrow()
    }

    fn place(&self, path: &Path) -> Result<PathBuf> {
        let target = self.folder.join(path.strip_prefix("/").unwrap_or(path));
        let folder = target.parent().context("a file in a folder")?;
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        Ok(target)
    }
}

/// The paths that `ldd` prints: `name => path (address)`, or the loader's `path (address)`.
fn libraries(text: &str) -> Result<Vec<PathBuf>> {
    if let Some(line) = text.lines().find(|line| line.contains("not found")) {
        bail!("a library is missing: {}", line.trim());
    }
    let words = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        words.find(|word| word.starts_with('/'))
    });
    Ok(words.map(PathBuf::from).collect())
}

/// The path below `/usr` for one through a link, so that a file has one name only.
fn merged(path: &Path) -> PathBuf {
    let below = path.strip_prefix("/").unwrap_or(path);
    let linked = LINKS.iter().any(|link| below.starts_with(link));
    if linked {
        Path::new("/usr").join(below)
    } else {
        path.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ldd_says_is_read() {
        let text = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let found = libraries(text).unwrap();
        let places: Vec<PathBuf> = found.iter().map(|path| merged(path)).collect();
        let expected = [
            "/usr/lib/x86_64-linux-gnu/libc.so.6",
            "/usr/lib64/ld-linux-x86-64.so.2",
        ];
        assert_eq!(places, expected.map(PathBuf::from));
        assert_eq!(merged(Path::new("/usr/lib/a")), Path::new("/usr/lib/a"));
        assert!(libraries("\tlibx.so.1 => not found\n").is_err());
        assert!(libraries("\tstatically linked\n").unwrap().is_empty());
    }
}
