//! What a row of the tables says. A table tells one life of an environment, so the order of its rows counts: text belongs to
//! the last thing that began.

/// An event, and the line that it has to become.
pub struct Row {
    pub name: &'static str,
    /// As the platform sends it.
    pub event: &'static str,
    /// `requestId` of the line; `None` for none.
    pub request_id: Option<&'static str>,
    /// The member that holds the record; `None` if the event has none.
    pub column: Option<&'static str>,
}

/// What belongs to the start of the environment.
pub const INIT: Option<&str> = Some("init");
/// The column of a string.
pub const MESSAGE: Option<&str> = Some("message");
/// The column of an object.
pub const RECORD: Option<&str> = Some("record");
/// The column of anything else.
pub const VALUE: Option<&str> = Some("value");

pub const fn row(
    name: &'static str,
    request_id: Option<&'static str>,
    column: Option<&'static str>,
    event: &'static str,
) -> Row {
    Row { name, event, request_id, column }
}
