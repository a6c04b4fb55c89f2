//! Metrics of the process: processor time, memory, open files, as Prometheus clients name them.

use std::time::{SystemTime, UNIX_EPOCH};

use ::prometheus::proto::MetricFamily;
use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::{SysconfVar, sysconf};

use super::metrics::prometheus::{gauge, gauges};

/// What the kernel tells of this process; nothing of what it does not tell.
pub fn families() -> Vec<MetricFamily> {
    let mut families = Vec::new();
    let mut add = |name: &str, help: &str, value: Option<f64>| {
        if let Some(value) = value {
            families.push(gauges(name, help, vec![gauge(&[], value)]));
        }
    };
    let files = std::fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as f64);
    // One of them is the directory being read.
    add("process_open_fds", "Open files and sockets.", files.map(|count| count - 1.0));
    let most = getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft as f64);
    add("process_max_fds", "Files and sockets that may be open.", most);
    let stat = Stat::read();
    let stat = stat.as_ref();
    add("process_resident_memory_bytes", "Resident memory.", stat.map(|stat| stat.resident));
    add("process_virtual_memory_bytes", "Virtual memory.", stat.map(|stat| stat.virtual_size));
    let started = stat.and_then(Stat::started);
    add("process_start_time_seconds", "When the process began, since 1970.", started);
    if let Some(stat) = stat {
        let mut metric = ::prometheus::proto::Metric::default();
        let mut counter = ::prometheus::proto::Counter::default();
        counter.set_value(stat.processor);
        metric.set_counter(counter);
        families.push(super::metrics::prometheus::counters(
            "process_cpu_seconds_total",
            "Processor time, of user and system.",
            vec![metric],
        ));
    }
    families
}

/// `/proc/self/stat` (proc_pid_stat(5)) in seconds and bytes.
struct Stat {
    processor: f64,
    /// Since the machine began.
    begun: f64,
    virtual_size: f64,
    resident: f64,
}

impl Stat {
    fn read() -> Option<Self> {
        Self::parse(&std::fs::read_to_string("/proc/self/stat").ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        // The name of the program, in brackets, may hold anything.
        let (_, fields) = text.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        // Fields are numbered from 1; the first one here is the third.
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        let ticks = sysconf(SysconfVar::CLK_TCK).ok()?? as f64;
        let page = sysconf(SysconfVar::PAGE_SIZE).ok()?? as f64;
        Some(Self {
            processor: (field(14)? + field(15)?) / ticks,
            begun: field(22)? / ticks,
            virtual_size: field(23)?,
            resident: field(24)? * page,
        })
    }

    fn started(&self) -> Option<f64> {
        let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
        let uptime: f64 = uptime.split_whitespace().next()?.parse().ok()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
        Some(now - uptime + self.begun)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_measured() {
        let families = families();
        let value = |name: &str| {
            let family = families.iter().find(|family| family.name() == name).unwrap();
            family.get_metric()[0].get_gauge().get_value()
        };
        assert!(value("process_resident_memory_bytes") > 100_000.0);
        assert!(value("process_open_fds") >= 3.0);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        assert!((value("process_start_time_seconds") - now).abs() < 24.0 * 3600.0);
    }

    #[test]
    fn a_program_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let mut text = "1 (a) b) S".to_owned();
        for number in 4..30 {
            text.push_str(&format!(" {}", if number == 23 { 4096 } else { 0 }));
        }
        let size = Stat::parse(&text).unwrap().virtual_size;
        assert!((size - 4096.0).abs() < f64::EPSILON);
    }
}
