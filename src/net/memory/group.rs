//! The control group of the process and its memory limit, in both versions of the kernel's interface (control groups
//! version 2, "Memory Interface Files"; version 1, "Memory Resource Controller").

use std::fs;
use std::path::{Path, PathBuf};

/// A control group with a memory limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// In bytes.
    pub(super) limit: u64,
    used: PathBuf,
    statistics: PathBuf,
    /// The line of the statistics that tells of cached files which nobody uses: the kernel takes them back by itself.
    idle_files: &'static str,
}

/// Limits above are none: version 1 says so by a number that no machine has.
const UNLIMITED: u64 = 1 << 50;

/// The root of a hierarchy, the file with the limit, the one with the use, and the name of the line for idle files.
type Version = (&'static str, &'static str, &'static str, &'static str);
const TWO: Version = ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file ");
const ONE: Version = (
    "/sys/fs/cgroup/memory",
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    "total_inactive_file ",
);

impl Group {
    /// The nearest group with a limit.
    pub(super) fn find() -> Option<Self> {
        Self::among(&fs::read_to_string("/proc/self/cgroup").ok()?, Path::new("/"))
    }

    /// Reads lines such as `0::/a/b` and `4:memory:/a/b`; `root` is that of the file system.
    fn among(lines: &str, root: &Path) -> Option<Self> {
        lines.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, path) = (fields.next()?, fields.next()?);
            let version = match controllers {
                "" => TWO,
                some if some.split(',').any(|it| it == "memory") => ONE,
                _ => return None,
            };
            // In a container the path may be that outside, of which only the end or nothing is there.
            Path::new(path).ancestors().find_map(|path| Self::at(path, version, root))
        })
    }

    fn at(path: &Path, (hierarchy, limit, used, idle_files): Version, root: &Path) -> Option<Self> {
        let relative = |path: &'static str| path.trim_start_matches('/');
        let folder = root.join(relative(hierarchy)).join(path.strip_prefix("/").unwrap_or(path));
        let limit: u64 = fs::read_to_string(folder.join(limit)).ok()?.trim().parse().ok()?;
        (1..UNLIMITED).contains(&limit).then(|| Self {
            limit,
            used: folder.join(used),
            statistics: folder.join("memory.stat"),
            idle_files,
        })
    }

    /// What is used of the limit, in percent.
    pub(super) fn percent(&self) -> Option<u64> {
        let used: u64 = fs::read_to_string(&self.used).ok()?.trim().parse().ok()?;
        let percent = |used: u64| used.saturating_mul(100) / self.limit;
        // The statistics are dearer to read, and lower the use only.
        if percent(used) < 50 {
            return Some(percent(used));
        }
        let statistics = fs::read_to_string(&self.statistics).unwrap_or_default();
        let idle = statistics.lines().find_map(|line| line.strip_prefix(self.idle_files));
        let idle: u64 = idle.and_then(|text| text.trim().parse().ok()).unwrap_or_default();
        Some(percent(used.saturating_sub(idle)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn the_nearest_limit_of_version_2_counts() {
        let root = machine(&[
            ("sys/fs/cgroup/a/memory.max", "1000\n"),
            ("sys/fs/cgroup/a/memory.current", "900\n"),
            ("sys/fs/cgroup/a/memory.stat", "anon 1\ninactive_file 100\n"),
            ("sys/fs/cgroup/a/b/memory.max", "max\n"),
        ]);
        let group = Group::among("0::/a/b\n", root.path()).unwrap();
        assert_eq!((group.limit, group.percent()), (1000, Some(80)));
    }

    #[test]
    fn version_1_has_a_hierarchy_for_memory() {
        let root = machine(&[
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "2000\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "200\n"),
        ]);
        // As a container sees it: the path outside is not there.
        let lines = "5:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n0::/\n";
        let group = Group::among(lines, root.path()).unwrap();
        assert_eq!((group.limit, group.percent()), (2000, Some(10)));
    }

    #[test]
    fn no_limit_is_no_group() {
        let none = [("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")];
        assert_eq!(Group::among("4:memory:/\n0::/\n", machine(&none).path()), None);
        assert_eq!(Group::among("", machine(&[]).path()), None);
    }
}
