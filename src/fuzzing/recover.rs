//! Objects come back from their lines, whatever stands around them; and what is no part makes nobody stumble.

use crate::upload::printed::{Damaged, Finder, Head, MARK, PART_BYTES, Part};

/// Input: a byte that says in which pieces the text comes, one that says how much of the rest is noise, then noise and object.
pub fn recover(data: &[u8]) {
    let Some((&[piece, share], rest)) = data.split_first_chunk::<2>() else { return };
    let (noise, content) = rest.split_at(rest.len() * usize::from(share) / 256);
    let piece_bytes = 1 + usize::from(piece) * 131;
    let alone = read(noise, usize::MAX);
    assert_eq!(read(noise, piece_bytes), alone, "the pieces that a text comes in say nothing");
    // A short content becomes an object of some parts, too.
    let content = content.repeat(1 + usize::from(piece) * 64 / (1 + content.len()));
    let head = Head {
        key: String::from_utf8_lossy(&noise[..noise.len().min(64)]).into_owned(),
        bytes: content.len() as u64,
        crc64_nvme: spool::object_digest(&content),
    };
    let chunks: Vec<&[u8]> = if content.is_empty() { vec![&[]] } else { content.chunks(PART_BYTES).collect() };
    let lines: Vec<String> = chunks.iter().zip(1..).map(|(chunk, part)| head.line(part, chunk)).collect();
    let is_quiet = memchr::memmem::find(noise, MARK.as_bytes()).is_none() && !noise.ends_with(&MARK.as_bytes()[..1]);
    let text = lines.iter().fold(Vec::new(), |text, line| [text, noise.to_vec(), line.clone().into_bytes()].concat());
    let found = read(&text, piece_bytes);
    assert_eq!(found, read(&text, usize::MAX));
    if is_quiet {
        let parts: Vec<_> = found.into_iter().map(|part| part.expect("it is whole")).collect();
        assert!(parts.iter().all(|part| part.head == head));
        assert_eq!(parts.iter().map(|part| part.number).collect::<Vec<_>>(), (1..=head.parts()).collect::<Vec<_>>());
        assert_eq!(parts.iter().flat_map(|part| part.bytes.to_vec()).collect::<Vec<_>>(), content);
    }
    assert!(lines.concat().len() as u64 <= head.lines_bytes_max(), "what is written was reckoned with");
}

fn read(text: &[u8], piece_bytes: usize) -> Vec<Result<Part, Damaged>> {
    let (mut finder, mut found) = (Finder::default(), Vec::new());
    for piece in text.chunks(piece_bytes.min(text.len().max(1))) {
        finder.take(piece, |part| found.push(part));
    }
    finder.end(|part| found.push(part));
    found
}
