//! The library is embedded when this crate is compiled: a new or changed graph file compiles it again.

fn main() {
    println!("cargo:rerun-if-changed=.");
}
