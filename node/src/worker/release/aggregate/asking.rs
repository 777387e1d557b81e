//! A private question with its noise: compiled, and planned for what is paid, before a row is read. A dry run, the review and the answer
//! all ask here, so that what is told beforehand is what is done.

use std::collections::BTreeMap;

use cohortium_engine::limits::Limits;
use cohortium_engine::private::{
    Ask, Catalogue, Declared, Origin, Part, Plan, PrivateTable, Question, Room, SamplingKey, Study, TablePlan, bound,
    compile, compile_table,
};
use cohortium_private::account::{Cost, rho_of_person};
use cohortium_private::interval::Family;
use cohortium_protocol::quantity::ContributionBound;
use cohortium_protocol::record::journal_entry::RunFault;
use cohortium_protocol::record::release::{NoiseKind, NoiseLine};
use cohortium_protocol::record::request::{AggregateTerms, Request};

use crate::worker::job::ReportFault;
use crate::worker::looks::memory_bytes;
use crate::worker::release::body::Batch;

use super::noise::{self, Mechanism, NoNoise};
use super::study::{Measuring, Studied};
use super::{answer, stated};

/// The one error behind the payment.
fn unanswered() -> ReportFault {
    ReportFault::of(RunFault::Limit)
}

impl From<NoNoise> for ReportFault {
    fn from(_: NoNoise) -> Self {
        unanswered()
    }
}

fn refused(why: &str) -> ReportFault {
    ReportFault { fault: RunFault::Malformed, detail: Some(why.to_owned()) }
}

/// A question that can be answered for what is paid.
pub(super) struct Asking {
    paid: Cost,
    of: Of,
}

enum Of {
    /// Counts and sums by groups.
    Groups(Box<Plan>, Vec<Mechanism>),
    /// Something made of a table.
    Table(Box<TablePlan>, Box<Measuring>),
}

impl Asking {
    /// Compiles a request's question. Whatever it is refused for says nothing of a row.
    pub(super) fn of(request: &Request, asked: &AggregateTerms, catalogue: &Catalogue) -> Result<Self, ReportFault> {
        let declared: Declared = serde_json::from_str(&asked.declared)
            .map_err(|fault| refused(&format!("what is declared cannot be read: {fault}")))?;
        let paid = noise::cost(asked.rho, asked.delta);
        let unpaid = |_| refused("the budget is too small or too large for an answer within these bounds");
        let of = if declared.study.is_some() {
            let plan = compile_table(&request.question, &declared, catalogue);
            let plan = plan.map_err(|refusal| refused(&refusal.to_string()))?;
            let measuring = Measuring::planned(&plan, paid).map_err(unpaid)?;
            Of::Table(Box::new(plan), Box::new(measuring))
        } else {
            let question = Question { ask: Ask::Sql(request.question.clone()), declared };
            let plan = compile(&question, catalogue).map_err(|refusal| refused(&refusal.to_string()))?;
            let mechanisms = noise::planned(&plan.parts(), plan.has_private_keys(), paid).map_err(unpaid)?;
            Of::Groups(Box::new(plan), mechanisms)
        };
        Ok(Self { paid, of })
    }

    /// What is spent, all of it.
    pub(super) const fn paid(&self) -> Cost {
        self.paid
    }

    /// The question in its one form.
    pub(super) fn text(&self) -> &str {
        match &self.of {
            Of::Groups(plan, _) => plan.text(),
            Of::Table(plan, _) => plan.text(),
        }
    }

    /// What a stored answer is found by.
    pub(super) fn digest(&self) -> [u8; 32] {
        match &self.of {
            Of::Groups(plan, _) => plan.digest(),
            Of::Table(plan, _) => plan.digest(),
        }
    }

    /// What was known beforehand.
    pub(super) fn origins(&self) -> &[(String, Origin)] {
        match &self.of {
            Of::Groups(plan, _) => plan.origins(),
            Of::Table(plan, _) => plan.origins(),
        }
    }

    /// Whether rows come out that are nobody's.
    pub(super) fn is_synthetic(&self) -> bool {
        match &self.of {
            Of::Groups(..) => false,
            Of::Table(plan, _) => matches!(plan.study(), Study::Synthetic {}),
        }
    }

    /// What it costs a person with so many tokens.
    pub(super) fn of_person(&self, tokens: ContributionBound) -> Option<Cost> {
        match &self.of {
            Of::Groups(_, mechanisms) => noise::of_person(mechanisms, self.paid, tokens),
            // No mechanism of a table has a delta.
            Of::Table(..) => Some(Cost { rho: rho_of_person(self.paid.rho, tokens)?, ..self.paid }),
        }
    }

    /// Below how many patients, with noise, a private key stays hidden.
    pub(super) fn threshold(&self) -> Option<u64> {
        let Of::Groups(_, mechanisms) = &self.of else { return None };
        mechanisms.iter().find_map(|mechanism| match mechanism {
            Mechanism::Thresholded(thresholded) => u64::try_from(thresholded.threshold()).ok(),
            Mechanism::Additive(_) => None,
        })
    }

    /// The noise of each vector, as far as it is known before a row is read.
    pub(super) fn lines(&self) -> Vec<NoiseLine> {
        match &self.of {
            Of::Groups(plan, mechanisms) => lines(plan, mechanisms),
            Of::Table(plan, measuring) => measuring.lines(plan),
        }
    }

    /// The answer, with the noise of each vector. From the first row on there is one error, and it is constant (law 7).
    pub(super) fn answer(
        &self,
        tables: (&Catalogue, &[PrivateTable]),
        seed: [u8; 32],
    ) -> Result<(Batch, Vec<NoiseLine>), ReportFault> {
        let room = Room { memory_bytes: memory_bytes() / 2, limits: Limits::default() };
        match &self.of {
            Of::Groups(plan, mechanisms) => {
                let mut key = [0; 16];
                key.copy_from_slice(&seed[..16]);
                let bounded = bound(plan, tables.0, tables.1, SamplingKey(key), &room).map_err(|_| unanswered())?;
                let noised = noise::drawn(&bounded, mechanisms, self.paid)?;
                Ok((answer::answered(plan, &bounded, mechanisms, &noised)?, lines(plan, mechanisms)))
            }
            Of::Table(plan, measuring) => {
                let Studied { body, lines } = measuring.made(plan, tables, &room, self.paid, seed)?;
                Ok((body, lines))
            }
        }
    }
}

/// The noise of each vector, with the outputs that it is for.
fn lines(plan: &Plan, mechanisms: &[Mechanism]) -> Vec<NoiseLine> {
    let mut outputs: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for recipe in plan.recipes() {
        for part in &recipe.parts {
            outputs.entry(*part).or_default().push(&recipe.name);
        }
    }
    let line = |(at, (part, mechanism)): (usize, (Part, &Mechanism))| {
        let noise = mechanism.noise();
        let kind = match (mechanism, noise.family) {
            (Mechanism::Thresholded(_), _) => NoiseKind::GaussianThreshold,
            (Mechanism::Additive(_), Family::Gaussian) => NoiseKind::Gaussian,
            (Mechanism::Additive(_), Family::Laplace) => NoiseKind::Laplace,
        };
        #[expect(clippy::cast_precision_loss, reason = "a power of ten up to 10^9")]
        let scale = part.scale as f64;
        let what = match outputs.get(&at) {
            None => format!("{}, which show a key", noise::words(part.counted)),
            Some(outputs) => format!("{}: {}", outputs.join(", "), noise::words(part.counted)),
        };
        Some(NoiseLine {
            what: what.parse().ok()?,
            noise: kind,
            scale: stated(noise.scale / scale),
            half_width: stated(noise.half_width(answer::CONFIDENCE) / scale),
        })
    };
    plan.parts().into_iter().zip(mechanisms).enumerate().filter_map(line).collect()
}
