//! Reductions.

mod arg_max;
mod arg_min;
mod layers;
mod log_sum_exp;
mod max;
mod mean;
mod min;
mod std;
mod sum;
mod var;

pub use arg_max::ArgMax;
pub use arg_min::ArgMin;
pub use log_sum_exp::LogSumExp;
pub use max::Max;
pub use mean::Mean;
pub use min::Min;
pub use std::Std;
pub use sum::Sum;
pub use var::Var;
