//! Rules of the endpoint that an attacker would try first, each with the check's both sides. Faults of networks, disks
//! and time are the simulator's, in package `cohortium-tests`. The two nodes they run on are in `pair`.

mod greeting;
mod landing;
mod linkage;
mod mail;
mod objections;
mod pair;
mod people;
mod pipelines;
mod releases;
mod schema;
mod serving;
mod shares;
mod sites;
mod tables;
mod terms;
mod witness;

use std::collections::{BTreeMap, BTreeSet};

use super::io::*;
use super::*;
use crate::digest::{DocumentDigest, blob_digest, sha256_for};
use crate::ident::{DatasetId, Nonce};
use crate::key::signed::{Record, Signed};
use crate::message::document::{Document, Held, MailHead, Numbered};
use crate::message::transfer::RangeGet;
use crate::quantity::{AnonymityK, Bytes};
use crate::record::acceptance::Answer as Said;
use crate::record::charter::*;
use crate::record::dataset::{Dataset, Source};
use crate::record::extension::Extensions;
use crate::record::invitation::Invitation;
use crate::record::journal_entry::RunFault;
use crate::record::listing::{BlobRef, BlobRole, Listing, ListingEntry};
use crate::record::manifest::{
    Base, ContentLabel, LinkageCheck, LinkageKeyId, LinkageStatement, Manifest, leaving_columns,
};
use crate::record::node_record::{NodeRecord, NodeRecordFields};
use crate::record::order::{Command, Order, Unchecked};
use crate::record::person::{Person, Role};
use crate::record::receipt::{Outcome, Receipt};
use crate::record::revocation::Change;
use crate::record::schedule::Schedule;
use crate::record::schema::{Column, ColumnRole, ColumnType, Treatment};
use crate::record::share::{Content, Form, Linkage, Share, ShareFields, Standard, TableTerms};
use crate::state::outbox::Mailbox;
use crate::state::subscription::Fate;
use crate::time::Seconds;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const SHARE: ShareId = ShareId([7; 16]);
const SUBSCRIPTION: SubscriptionId = SubscriptionId([8; 16]);
const DATASET: DatasetId = DatasetId([9; 16]);

use pair::*;
use terms::*;
