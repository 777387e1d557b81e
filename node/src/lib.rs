//! The Cohortium daemon and its command line.

pub mod control;
pub mod home;
pub mod config;
pub mod person;
