//! What a picture promises, without a run and without a browser.

mod fixture;
mod layout;
mod observed;
mod page;
