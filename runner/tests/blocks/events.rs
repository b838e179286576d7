//! Event files against TensorBoard's own writer.

use std::path::Path;
use std::sync::Arc;

use sward::rundir::{Disk, EventFile, Storage};

#[test]
fn an_event_file_equals_tensorboards_byte_by_byte() {
    let fixture = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/events"));
    let directory = tempfile::tempdir().unwrap();
    let storage: Arc<dyn Storage> = Arc::new(Disk);
    let mut events = EventFile::open(&storage, directory.path(), 0, 1_700_000_000.5).unwrap();
    for step in [0u64, 1, 127, 128, 300_000] {
        let values = [("train/loss", step as f64 / 3.0), ("lr", 0.0)];
        events.scalars(step, 1_700_000_001.25, values).unwrap();
    }
    let image = std::fs::read(fixture.join("image.png")).unwrap();
    events.image(300_001, 1_700_000_002.0, "samples/0", (3, 2), &image).unwrap();
    events.sync().unwrap();
    let expected = std::fs::read(fixture.join("events.out.tfevents.1700000000.sward")).unwrap();
    assert_eq!(std::fs::read(events.path()).unwrap(), expected);
    assert!(events.path().ends_with("events.out.tfevents.1700000000.sward"), "TensorBoard finds files by this name");
}
