//! The one queue into the core: everything that happened, in the order it happened. Bounded, so that a burst waits.

use cohortium_protocol::endpoint::io::{Answer, ConnId, Input, Message, OrderFault, Protocol, Side};
use cohortium_protocol::endpoint::{Endpoint, Membership};
use cohortium_protocol::ident::{ConsortiumId, Name};
use cohortium_protocol::key::pair::PublicKey;
use cohortium_protocol::key::signed::Signed;
use cohortium_protocol::record::journal_entry::JournalEntry;
use cohortium_protocol::record::order::Order;
use tokio::sync::{mpsc, oneshot};

use crate::driver::books::Book;
use crate::driver::wires::{ReplyTo, Wire};

/// Events that wait for the core.
const QUEUE_EVENTS: usize = 1024;

/// A look at the endpoint's state, taken between two turns, when everything it shows is durable.
pub(crate) type Look = Box<dyn FnOnce(&Endpoint) + Send>;

/// What a connection is before the core has numbered it.
pub(crate) struct NewWire {
    pub(crate) wire: Wire,
    pub(crate) side: Side,
    pub(crate) protocol: Protocol,
    pub(crate) consortium: Option<ConsortiumId>,
    pub(crate) tls: PublicKey,
    /// Told the number.
    pub(crate) number: oneshot::Sender<ConnId>,
}

/// A consortium that this node takes part in from now on.
pub(crate) struct Entrance {
    pub(crate) membership: Membership,
    pub(crate) entries: Vec<JournalEntry>,
    /// The last checkpoint of each peer's log that this node cosigned.
    pub(crate) heads: Vec<(Name, String)>,
    pub(crate) book: Book,
    pub(crate) done: oneshot::Sender<()>,
}

/// One thing for the core.
pub(crate) enum Event {
    /// As it is.
    Input(Input),
    /// A connection stands.
    Wire(Box<NewWire>),
    /// The peer sent a first frame on a stream of its own.
    Request { conn: ConnId, message: Message, reply: ReplyTo },
    /// A connection is gone.
    Closed(ConnId),
    /// A person's order.
    Order { order: Box<Signed<Order>>, done: oneshot::Sender<Result<(), OrderFault>> },
    /// A journal was opened.
    Enter(Box<Entrance>),
    /// Somebody wants to know something.
    Look(Look),
    /// A sweep has ended: for how many reasons, and whether nothing unnamed is left.
    Swept { upto: u64, whole: bool },
    /// End after this turn.
    Stop(oneshot::Sender<()>),
}

impl Event {
    /// About how many bytes of peers and people it carries.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Request { message, .. } | Self::Input(Input::Answered { answer: Answer::Message(message), .. }) => {
                message.payload.len()
            }
            Self::Order { order, .. } => order.to_bytes().len(),
            Self::Input(_)
            | Self::Wire(_)
            | Self::Closed(_)
            | Self::Enter(_)
            | Self::Look(_)
            | Self::Swept { .. }
            | Self::Stop(_) => 0,
        }
    }
}

/// The sending end. After the core's end everything sent is dropped.
#[derive(Clone)]
pub(crate) struct Queue(mpsc::Sender<Event>);

impl Queue {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Event>) {
        let (sender, receiver) = mpsc::channel(QUEUE_EVENTS);
        (Self(sender), receiver)
    }

    /// Waits for room. `false`: the core has ended.
    pub(crate) async fn send(&self, event: Event) -> bool {
        self.0.send(event).await.is_ok()
    }

    pub(crate) async fn input(&self, input: Input) -> bool {
        self.send(Event::Input(input)).await
    }

    /// Shows the endpoint to `look` and gives back what it saw; `None` when the core has ended.
    pub(crate) async fn look<T, F>(&self, look: F) -> Option<T>
    where
        T: Send + 'static,
        F: FnOnce(&Endpoint) -> T + Send + 'static,
    {
        let (answer, seen) = oneshot::channel();
        let look: Look = Box::new(move |endpoint| drop(answer.send(look(endpoint))));
        self.send(Event::Look(look)).await;
        seen.await.ok()
    }

    /// Gives an order and waits for its end; `None` when the core has ended.
    pub(crate) async fn order(&self, order: Box<Signed<Order>>) -> Option<Result<(), OrderFault>> {
        let (done, ended) = oneshot::channel();
        self.send(Event::Order { order, done }).await;
        ended.await.ok()
    }
}
