//! How the lines of a life are written: their format, and what each of them says beside its record.
//!
//! What is the same in every line is written once, when it becomes known, and copied into each.

use spool::SpoolId;

use super::{number, string};
use crate::upload::object_key::LineFormat;

/// Extra members of a line, in the order in which they stand there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// Name of the function.
    Function,
    /// Its version.
    Version,
    /// Region that it runs in.
    Region,
    /// Account that it belongs to, if the platform tells.
    Account,
    /// The spool that the line was written to.
    Spool,
    /// Memory of the function in MB.
    Memory,
    /// Architecture of the machine, in Lambda's words.
    Architecture,
    /// X-Ray's id of the trace that the request belongs to.
    TraceId,
}

impl Field {
    /// All of them, in their order, by their names in lines and settings.
    pub const ALL: [(&'static str, Self); 8] = [
        ("function", Self::Function),
        ("version", Self::Version),
        ("region", Self::Region),
        ("account", Self::Account),
        ("spool", Self::Spool),
        ("memory", Self::Memory),
        ("architecture", Self::Architecture),
        ("traceId", Self::TraceId),
    ];
}

/// What fields can tell. What is not known has no member.
#[derive(Debug, Clone, Copy, Default)]
pub struct FieldFacts<'a> {
    /// See [`Field::Function`].
    pub function: Option<&'a str>,
    /// See [`Field::Version`].
    pub version: Option<&'a str>,
    /// See [`Field::Region`].
    pub region: Option<&'a str>,
    /// See [`Field::Account`].
    pub account: Option<&'a str>,
    /// See [`Field::Memory`].
    pub memory_mb: Option<u64>,
}

/// How lines are written, as the settings have it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LineSettings {
    /// Their format.
    pub format: LineFormat,
    /// Extra members.
    pub fields: Vec<Field>,
    /// Names and values that are the same in every line.
    pub labels: Vec<(String, String)>,
}

impl LineSettings {
    /// The object that the labels make, as it stands in lines.
    pub fn labels_object(&self) -> Vec<u8> {
        let mut object = b"{".to_vec();
        for (index, (name, value)) in self.labels.iter().enumerate() {
            if index > 0 {
                object.push(b',');
            }
            string(&mut object, name);
            object.push(b':');
            string(&mut object, value);
        }
        object.push(b'}');
        object
    }
}

/// How lines are written, ready for use. The default is JSON with nothing extra.
#[derive(Debug, Clone, Default)]
pub struct LineStyle {
    format: LineFormat,
    /// Members of which the value never changes, before and behind that of the spool.
    constant: [Vec<u8>; 2],
    /// The spool that `members` is about; `None` before there was one.
    spool: Option<SpoolId>,
    names_spool: bool,
    names_trace: bool,
    /// Extra members before the trace id.
    members: Vec<u8>,
    /// Those behind it.
    labels: Vec<u8>,
}

impl LineStyle {
    /// Writes down what is known. Fields and labels are part of JSON only.
    pub fn new(settings: &LineSettings, facts: &FieldFacts<'_>) -> Self {
        let mut style = Self { format: settings.format, ..Self::default() };
        if settings.format != LineFormat::Json {
            return style;
        }
        let has = |field| settings.fields.contains(&field);
        for (name, field) in Field::ALL.into_iter().filter(|(_, field)| has(*field)) {
            let out = &mut style.constant[usize::from(field > Field::Spool)];
            let value = match field {
                Field::Function => facts.function,
                Field::Version => facts.version,
                Field::Region => facts.region,
                Field::Account => facts.account,
                Field::Memory => {
                    facts.memory_mb.into_iter().for_each(|memory| number(out, ",\"memory\":", memory));
                    None
                }
                Field::Architecture => Some(architecture()),
                Field::Spool | Field::TraceId => None,
            };
            if let Some(value) = value {
                member(out, name, value);
            }
        }
        style.names_spool = has(Field::Spool);
        style.names_trace = has(Field::TraceId);
        style.members = style.constant.concat();
        if !settings.labels.is_empty() {
            style.labels = [b",\"labels\":", settings.labels_object().as_slice()].concat();
        }
        style
    }

    /// Lines are written to this spool from here on.
    pub fn enter(&mut self, spool: SpoolId) {
        if !self.names_spool || self.spool == Some(spool) {
            return;
        }
        self.spool = Some(spool);
        self.members.clear();
        self.members.extend_from_slice(&self.constant[0]);
        member(&mut self.members, "spool", &spool.to_string());
        self.members.extend_from_slice(&self.constant[1]);
    }

    /// The format.
    pub fn format(&self) -> LineFormat {
        self.format
    }

    /// Whether trace ids are asked for.
    pub fn names_trace(&self) -> bool {
        self.names_trace
    }

    /// Writes what is extra in a line of JSON.
    pub(super) fn extra_members(&self, out: &mut Vec<u8>, trace_id: Option<&str>) {
        out.extend_from_slice(&self.members);
        if let Some(trace_id) = trace_id.filter(|_| self.names_trace) {
            member(out, "traceId", trace_id);
        }
        out.extend_from_slice(&self.labels);
    }
}

/// Writes a member with a name that needs no escapes.
pub(super) fn member(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    string(out, value);
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        other => other,
    }
}
