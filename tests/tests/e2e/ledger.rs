//! The ledger as members see it, objections and caps, the time of a private answer, and 64 requests for what is left of an account.

use cohortium_tests::real::until;
use serde_json::Value;

use crate::private::{QUESTION, answers, asked, refusal, spent};
use crate::releases::{ANSWER_SECONDS, Place};

/// Seconds to object in: long enough for a command line on a busy machine.
const WAIT: &str = "20";

/// Another question of the same rows: other names are not, other bounds are.
fn other(rho: f64, number: usize) -> String {
    asked(QUESTION, rho).replace("upper = 30.0", &format!("upper = {}.0", 31 + number))
}

fn budget(place: &Place) -> Value {
    place.net.north().tell(&["budget"])
}

fn member_has_paid(place: &Place, rho: f64) -> Value {
    until("the member to be told", || {
        let seen = budget(place);
        let own = seen["own"]["rho"].as_f64().unwrap();
        ((own - rho).abs() < 1e-9).then_some(seen)
    })
}

/// When the operator wrote its acts of one kind, in seconds.
fn moments(place: &Place, kind: &str) -> Vec<f64> {
    let all = place.net.op.history();
    let of_kind = all.iter().filter(|entry| entry["act"].get(kind).is_some());
    of_kind.map(|entry| entry["at"].as_f64().unwrap() / 1000.0).collect()
}

// REL-25, REL-30, REL-31
#[test]
fn a_member_sees_what_an_answer_cost_its_patients_and_the_answer_comes_at_its_time() {
    let place = answers();
    let release = place.ask("mean.toml", &asked(QUESTION, 0.25));
    let seen = member_has_paid(&place, 0.25);
    assert_eq!((&seen["agrees"], &seen["disagreements"]), (&true.into(), &serde_json::json!([])), "{seen}");
    assert_eq!(seen["own_everywhere"], seen["own"], "it is in one consortium");
    let account = &seen["accounts"][0];
    for sum in [&account["spent"], &account["period"]["spent"]] {
        assert!((sum["rho"].as_f64().unwrap() - 0.25).abs() < 1e-9, "{seen}");
    }
    assert_eq!(account["debits"][0]["release"], release.as_str());
    place.until_phase(&release, "made");
    let taken = moments(&place, "release-made")[0] - moments(&place, "release-reserved")[0];
    let due: f64 = ANSWER_SECONDS.parse().unwrap();
    assert!((due - 0.01..due + 2.0).contains(&taken), "it came after {taken} s, and not after {due} s");
    // The cap lets nothing in that would pass it: here nobody is waited for, so it holds for what comes after.
    place.net.north().tell(&["budget", "cap", "--rho", "0.3", "--delta", "1e-6"]);
    let second = place.ask("exact.toml", &other(0.2, 0));
    until("the member to share no more", || {
        let shared = place.net.north().view()["subscriptions"].to_string();
        shared.contains("\"revoked\"").then_some(())
    });
    // It was paid, and its rows may not be used any more when its time comes.
    until("the end of it", || (place.state(&second)["release"]["state"] == "not-released").then_some(()));
    assert!((spent(&place) - 0.45).abs() < 1e-9, "paid is paid");
    let third = place.ask("third.toml", &other(0.01, 2));
    assert!(refusal(&place, &third).as_str().unwrap().contains("tables"), "its rows are used no more");
}

// REL-26, REL-27, REL-28
#[test]
fn a_member_objects_in_time_and_what_nobody_objects_to_goes_on() {
    let place = answers();
    place.net.op.tell(&["charter", "propose", "--objection-wait", WAIT]);
    place.net.sign("4");
    let asks = |name: &str, number: usize| {
        let release = place.ask(name, &other(0.2, number));
        until("the member to be asked", || {
            let all = budget(&place)["announced"].clone();
            all.as_array().unwrap().iter().any(|told| told["release"] == release.as_str()).then_some(())
        });
        release
    };
    let unwanted = asks("unwanted.toml", 0);
    let wanted = asks("wanted.toml", 1);
    assert!(spent(&place) < 1e-9, "nothing is paid while members may object");
    place.net.north().tell(&["budget", "object", &unwanted, "--reason", "too much for our patients"]);
    until("the objection to be heard", || {
        (place.net.op.tell(&["release", "report", &unwanted])["phase"] == "objected").then_some(())
    });
    assert_eq!(place.state(&unwanted)["release"]["state"], "not-released");
    until("the other to be made", || {
        (place.net.op.tell(&["release", "report", &wanted])["phase"] == "made").then_some(())
    });
    assert!((spent(&place) - 0.2).abs() < 1e-9, "only that one is paid");
    let seen = member_has_paid(&place, 0.2);
    assert_eq!(seen["agrees"], true, "{seen}");
    let waited = moments(&place, "release-reserved")[0] - moments(&place, "announcement")[1];
    assert!(waited >= WAIT.parse::<f64>().unwrap(), "{waited}");
    place.net.op.verifies();
    place.net.north().verifies();
}

// REL-6
#[test]
fn of_64_requests_for_the_last_of_an_account_exactly_one_is_answered() {
    let place = answers();
    let texts: Vec<String> = (0..64).map(|n| other(0.5, n)).collect();
    let files: Vec<String> =
        texts.iter().enumerate().map(|(n, text)| place.write(&format!("last-{n}.toml"), text)).collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let releases = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some(file) = files.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    let told = place.net.op.tell(&["--as", "rita", "release", "request", file]);
                    releases.lock().unwrap().push(told["release"].as_str().unwrap().to_owned());
                }
            });
        }
    });
    let releases = releases.into_inner().unwrap();
    assert_eq!(releases.len(), 64);
    let states = || -> Vec<String> {
        let all = place.net.op.tell(&["release", "list"]);
        let all = all["releases"].as_array().unwrap().iter();
        all.map(|one| one["state"].as_str().unwrap().to_owned()).collect()
    };
    until("all but one to be refused", || {
        let states = states();
        (states.iter().filter(|state| *state == "refused").count() == 63).then_some(())
    });
    assert!((spent(&place) - 0.5).abs() < 1e-9);
    assert_eq!(place.net.op.acts("release-reserved").len(), 1, "one is paid");
    until("it to be made", || (place.net.op.acts("release-made").len() == 1).then_some(()));
    let seen = member_has_paid(&place, 0.5);
    assert_eq!(seen["accounts"][0]["debits"].as_array().map(Vec::len), Some(1), "{seen}");
}

/// What can be seen of an answer without opening its numbers.
#[derive(Debug, PartialEq)]
struct Form {
    stated: Value,
    report: Vec<String>,
    rows: Value,
    files: usize,
    not_covered: Value,
}

/// Asks for the mean, and gives the form of what came, the bytes of its body, and the seconds from payment to answer.
fn form(place: &Place, name: &str, number: usize) -> (Form, f64, f64) {
    let release = place.ask(name, &asked(QUESTION, 0.2));
    let told = place.until_phase(&release, "made");
    let statement = &told["statement"];
    let body = statement["body"].as_array().unwrap();
    let taken = moments(place, "release-made")[number] - moments(place, "release-reserved")[number];
    let form = Form {
        stated: statement["done"].clone(),
        report: told["report"].as_object().unwrap().keys().cloned().collect(),
        rows: body[0]["rows"].clone(),
        files: body.len(),
        not_covered: statement["not_covered"].clone(),
    };
    (form, body[0]["bytes"].as_f64().unwrap(), taken)
}

// REL-31
#[test]
fn a_table_with_one_patient_more_gets_an_answer_of_the_same_form_and_length_at_the_same_time() {
    let place = answers();
    let (one, bytes, taken) = form(&place, "one.toml", 0);
    let csv = place.net.path("north.csv");
    let mut text = std::fs::read_to_string(&csv).unwrap();
    text.push_str("99999,somebody,44,8507,2,29\n");
    std::fs::write(&csv, text).unwrap();
    place.net.north().tell(&["mapping", "run", "ward"]);
    for table in ["person", "visit_occurrence"] {
        let share = format!("ward.{table}");
        place.net.north().tell(&["share", "take", &share]);
        until("the patient to land", || {
            let all = place.net.op.tell(&["subscription", "list"]);
            let found = all.as_array().unwrap().iter().find(|one| {
                one["invitation"]["share"]["name"] == share.as_str()
                    && one["invitation"]["share"]["provider"] == "north"
            });
            (found.unwrap()["snapshots"][1]["state"] == "landed").then_some(())
        });
    }
    place.net.op.tell(&["consolidate", "run"]);
    let (other, bytes_too, taken_too) = form(&place, "other.toml", 1);
    assert_eq!(one, other, "but for the numbers in the body nothing differs");
    // Noised numbers have more or fewer digits; the file is as long but for them.
    assert!((bytes - bytes_too).abs() <= 64.0, "{bytes} {bytes_too}");
    assert!((taken - taken_too).abs() < 1.0, "{taken} {taken_too}");
    assert!((spent(&place) - 0.4).abs() < 1e-9, "a new version is a new charge");
}
