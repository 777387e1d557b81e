//! Structured log lines on standard error: codes, ids and counts. No row value, name of a patient or text of a parser
//! (law 12).

use tracing_subscriber::EnvFilter;

use crate::config::file::LogFormat;
use crate::config::resolve::LogConfig;

/// Starts the log of this process. A second start changes nothing: there is one log a process.
pub fn start(config: LogConfig) {
    let level = config.level.as_str().to_ascii_lowercase();
    // Only our own packages: what others log may quote bytes that they could not parse.
    let filter = format!("off,cohortium_node={level},cohortium_store={level},cohortium_transport={level}");
    let lines = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .with_target(false);
    // Fails only where a log has been started before.
    let _ = match config.format {
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
        LogFormat::Text => lines.try_init(),
    };
}
