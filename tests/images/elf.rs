//! What a program needs from the file system before its first instruction, as its ELF headers say (System V ABI, "Program
//! Header" and "Dynamic Section"; 64 bits, little-endian).

const MAGIC: &[u8] = b"\x7fELF\x02\x01";
const PT_DYNAMIC: u64 = 2;
const PT_INTERP: u64 = 3;
const DT_NEEDED: u64 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// A program that loads it.
    Loader,
    /// A shared library.
    Library,
}

/// One entry for each thing that is needed.
pub fn needs(elf: &[u8]) -> Vec<Need> {
    assert!(elf.starts_with(MAGIC), "no ELF of 64 bits");
    let (headers, size, count) = (number(elf, 32, 8), number(elf, 54, 2), number(elf, 56, 2));
    let mut needs = Vec::new();
    for index in 0..count {
        let header = headers + index * size;
        match number(elf, header, 4) {
            PT_INTERP => needs.push(Need::Loader),
            PT_DYNAMIC => {
                let (start, bytes) = (number(elf, header + 8, 8), number(elf, header + 32, 8));
                let tags = (start..start + bytes).step_by(16).map(|entry| number(elf, entry, 8));
                needs.extend(tags.filter(|tag| *tag == DT_NEEDED).map(|_| Need::Library));
            }
            _ => {}
        }
    }
    needs
}

fn number(elf: &[u8], at: u64, bytes: usize) -> u64 {
    let at = usize::try_from(at).unwrap();
    let mut number = [0; 8];
    number[..bytes].copy_from_slice(&elf[at..at + bytes]);
    u64::from_le_bytes(number)
}
