//! The building blocks of training against values of scikit-learn, PyTorch and other outside judges.

mod events;
mod fixture;
mod interrupt;
mod metrics;
mod report;
mod schedule;
mod splits;
mod storage;
mod text;
mod weights;
