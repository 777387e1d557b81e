//! Files that begin pipelines: looked at by their stamp, never opened for what is in them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cohortium_protocol::digest::DocumentDigest;
use cohortium_protocol::endpoint::Endpoint;
use cohortium_protocol::endpoint::io::Input;
use cohortium_protocol::ident::{ConsortiumId, Name};
use cohortium_protocol::record::pipeline::Trigger;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::driver::files;
use crate::driver::queue::Queue;

/// Between two looks. A file counts when two looks after each other find it the same: nobody is writing it.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A pipeline and the file that begins it.
type Watched = (ConsortiumId, Name, PathBuf);

/// Tells the core of every file that has come to rest, until the core ends. Whether it is another than the last time is the
/// endpoint's to know.
pub(crate) async fn run(queue: Queue) {
    let mut before: BTreeMap<(ConsortiumId, Name), DocumentDigest> = BTreeMap::new();
    loop {
        let Some(watched) = queue.look(watched).await else { return };
        let looked = spawn_blocking(move || look(watched)).await.unwrap_or_default();
        for ((consortium, pipeline), stamp) in &looked {
            if before.get(&(*consortium, pipeline.clone())) == Some(stamp) {
                let due =
                    Input::PipelineDue { consortium: *consortium, pipeline: pipeline.clone(), cause: Some(*stamp) };
                if !queue.input(due).await {
                    return;
                }
            }
        }
        before = looked;
        sleep(LOOK_EVERY).await;
    }
}

fn watched(endpoint: &Endpoint) -> Vec<Watched> {
    let of = |consortium: ConsortiumId| {
        let state = endpoint.state(consortium);
        let pipelines = state.into_iter().flat_map(|state| state.pipelines.values().map(move |piped| (state, piped)));
        pipelines.filter_map(move |(state, piped)| {
            let Trigger::NewFile { dataset } = &piped.pipeline.trigger else { return None };
            let path = state.datasets.get(dataset)?.source.path()?;
            Some((consortium, piped.pipeline.name.clone(), PathBuf::from(path.as_str())))
        })
    };
    endpoint.consortia().flat_map(of).collect()
}

/// What each file is now. One that is not there begins nothing.
fn look(watched: Vec<Watched>) -> BTreeMap<(ConsortiumId, Name), DocumentDigest> {
    let stamped = watched.into_iter().filter_map(|(consortium, name, path)| Some(((consortium, name), stamp(&path)?)));
    stamped.collect()
}

fn stamp(path: &Path) -> Option<DocumentDigest> {
    let (_, stamp) = files::open_plain(path).ok()?;
    Some(stamp.digest(path))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_another_when_it_is_written_or_replaced_and_none_when_it_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stays.csv");
        assert_eq!(stamp(&path), None);
        fs::write(&path, "a").unwrap();
        let first = stamp(&path);
        assert!(first.is_some() && first == stamp(&path));
        fs::write(&path, "ab").unwrap();
        let second = stamp(&path);
        assert_ne!(second, first);
        let other = dir.path().join("other.csv");
        fs::write(&other, "ab").unwrap();
        fs::rename(&other, &path).unwrap();
        assert_ne!(stamp(&path), second, "another file of the same length in its place");
        fs::remove_file(&path).unwrap();
        assert_eq!(stamp(&path), None);
    }
}
