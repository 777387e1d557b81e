//! The Cohortium daemon and its command line.
