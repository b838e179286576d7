//! The `sward` command.

fn main() -> std::process::ExitCode {
    sward::cli::main()
}
