//! Reductions.

mod arg_max;
mod arg_min;
mod extremes;
mod layers;
mod log_sum_exp;
mod max;
mod mean;
mod min;
mod std;
mod sum;
mod var;

pub use arg_max::ARG_MAX;
pub use arg_min::ARG_MIN;
pub use log_sum_exp::LogSumExp;
pub use max::MAX;
pub use mean::Mean;
pub use min::MIN;
pub use std::Std;
pub use sum::Sum;
pub use var::Var;
