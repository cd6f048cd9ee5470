//! What a number was measured on: without it the number means nothing.

use std::fs;

use serde::Serialize;

/// Facts about this machine.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    cores: usize,
    cpu_model: String,
    memory_mib: u64,
    kernel: String,
    load_average: String,
}

impl Machine {
    pub(crate) fn here() -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            cpu_model: value(&text("/proc/cpuinfo"), "model name")
                .unwrap_or("unknown")
                .to_owned(),
            memory_mib: kibibytes(&text("/proc/meminfo"), "MemTotal") / 1024,
            kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
            load_average: text("/proc/loadavg").trim().to_owned(),
        }
    }

    /// One line for people.
    pub(crate) fn line(&self) -> String {
        format!(
            "{} cores, {}, {} MiB, Linux {}, load average before: {}",
            self.cores, self.cpu_model, self.memory_mib, self.kernel, self.load_average
        )
    }

    /// How many cores there are.
    pub(crate) fn cores(&self) -> usize {
        self.cores
    }
}

/// The value after `name:` in a file of such lines.
pub(crate) fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })
}

/// The same for a value such as `1234 kB`; 0 when there is none.
pub(crate) fn kibibytes(text: &str, name: &str) -> u64 {
    value(text, name)
        .and_then(|value| value.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_by_its_whole_name() {
        let text = "Rss:  10 kB\nPss:                7 kB\nPss_Dirty: 3 kB\n";
        assert_eq!(kibibytes(text, "Pss"), 7);
        assert_eq!(kibibytes(text, "Swap"), 0);
    }
}
