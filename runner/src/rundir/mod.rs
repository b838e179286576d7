//! The directory that holds one run, and everything written into it.
//!
//! | file | what | how it survives |
//! |---|---|---|
//! | `run.json`, `environment.json`, graph files | what the run is | replaced atomically |
//! | `checkpoints/{best,last}.safetensors` | weights and the training loop's state | replaced atomically |
//! | `metrics.jsonl` | one record a line | appended; a torn last line is cut off on resume |
//! | `metrics.csv` | the same as a table | made anew from the lines on resume |
//! | `events.out.tfevents.*` | TensorBoard curves | appended; a torn record is cut off on resume |
//! | `.lock` | the process that works here | the kernel frees it when the process ends |

mod directory;
mod environment;
mod events;
mod faulty;
mod lock;
mod log;
mod storage;

pub use directory::{
    Checkpoint, Description, RunDirectory, RunError, Standing, State, checkpoint_path, content_hash, fresh_place,
    read_description, write_inside, write_json_inside,
};
pub use environment::Environment;
pub use events::{EventFile, masked_crc32c};
pub use faulty::{Fault, Faulty};
pub use lock::{Lock, LockError};
pub use log::{LogError, MetricsLog, Record, read_records};
pub use storage::{Disk, Storage, StorageError, StorageFile, remove_unfinished, write_atomically};
