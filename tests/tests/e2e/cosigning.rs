//! Audit logs are cosigned by the peers that are shown them, so that a second version of one cannot be shown to another.

use cohortium_tests::real::network::{Network, Plan};
use cohortium_tests::real::site::Site;
use cohortium_tests::real::source::table;
use cohortium_tests::real::until;

use crate::PROGRAM;

/// Who has cosigned a node's log, by the verifier that is told the peer's key.
fn cosigners(site: &Site, peer: &Site) -> Vec<String> {
    let key = peer.tell(&["log", "key"]);
    let (origin, key) = (key["origin"].as_str().unwrap(), key["key"].as_str().unwrap());
    let report = site.tell(&["log", "verify", "--cosigner", &format!("{origin}={key}")]);
    report["cosigners"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

// LOG-12 LOG-17
#[test]
fn two_nodes_cosign_each_others_log_after_they_have_met() {
    let mut net = Network::new(Plan::pair(PROGRAM));
    table(&net.path("los.csv"), 0..40, 0..0);
    net.offer_table("los");
    net.north().tell(&["share", "take", "los"]);
    net.op.until_landed("los", 1);
    // A node shows its log once after connecting.
    net.north_mut().down();
    net.north_mut().up();
    for (site, peer) in [(net.north(), &net.op), (&net.op, net.north())] {
        until(&format!("{} to cosign the log of {}", peer.name, site.name), || {
            cosigners(site, peer).iter().any(|name| name.ends_with(&format!("/{}", peer.name))).then_some(())
        });
        site.verifies();
    }
}
