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

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A file counts when so many looks after each other find it the same: nobody is writing it. One that is written to later all
/// the same fails the step that reads it, and the step is tried again.
const LOOKS_ALIKE: u32 = 3;

/// A pipeline and the file that begins it.
type Watched = (ConsortiumId, Name, PathBuf);

/// Tells the core of every file that has come to rest, until the core ends. Whether it is another than the last time is the
/// endpoint's to know.
pub(crate) async fn run(queue: Queue) {
    let mut resting = Resting::default();
    loop {
        let Some(watched) = queue.look(watched).await else { return };
        let looked = spawn_blocking(move || look(watched)).await.unwrap_or_default();
        for ((consortium, pipeline), stamp) in resting.after(looked) {
            if !queue.input(Input::PipelineDue { consortium, pipeline, cause: Some(stamp) }).await {
                return;
            }
        }
        sleep(LOOK_EVERY).await;
    }
}

/// What each pipeline's file is.
type Looked = BTreeMap<(ConsortiumId, Name), DocumentDigest>;

/// How many looks after each other have found each file as it is.
#[derive(Default)]
struct Resting(BTreeMap<(ConsortiumId, Name), (DocumentDigest, u32)>);

impl Resting {
    /// After another look: the files that rest. Each is told at every look, since what it begins may have come later.
    fn after(&mut self, looked: Looked) -> Looked {
        let before = std::mem::take(&mut self.0);
        let mut rested = Looked::new();
        for (of, stamp) in looked {
            let same = before.get(&of).filter(|(known, _)| *known == stamp);
            let looks = same.map_or(1, |(_, looks)| looks.saturating_add(1));
            if looks >= LOOKS_ALIKE {
                rested.insert(of.clone(), stamp);
            }
            self.0.insert(of, (stamp, looks));
        }
        rested
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
fn look(watched: Vec<Watched>) -> Looked {
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
    fn a_file_counts_when_three_looks_after_each_other_find_it_the_same() {
        let of = (ConsortiumId([1; 32]), "feed".parse::<Name>().unwrap());
        let mut resting = Resting::default();
        let mut look = |stamps: &[u8]| {
            let looked = stamps.iter().map(|stamp| (of.clone(), DocumentDigest([*stamp; 32]))).collect();
            resting.after(looked).into_values().map(|stamp| stamp.0[0]).collect::<Vec<u8>>()
        };
        // Written to until the fourth look, gone at the eighth.
        let told: Vec<Vec<u8>> =
            [&[1][..], &[2], &[2], &[3], &[3], &[3], &[3], &[], &[3], &[3], &[3]].into_iter().map(&mut look).collect();
        let rests: Vec<usize> = (0..told.len()).filter(|at| !told[*at].is_empty()).collect();
        assert_eq!(rests, [5, 6, 10]);
        assert_eq!(told[5], [3]);
    }

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
