//! What the spool is measured against: a file a segment, one zstd stream, a flush and one `pwrite` a batch. No checksum, no
//! numbers, no quota, no way back after a crash.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use zstd::zstd_safe::{
    CCtx, CParameter, InBuffer, OutBuffer, ResetDirective, compress_bound, zstd_sys::ZSTD_EndDirective,
};

pub struct Plain {
    root: PathBuf,
    context: CCtx<'static>,
    scratch: Vec<u8>,
    file: File,
    at: u64,
    segment: u64,
}

impl Plain {
    pub fn create(root: &Path) -> Self {
        let mut context = CCtx::create();
        for parameter in
            [CParameter::CompressionLevel(1), CParameter::WindowLog(17), CParameter::ContentSizeFlag(false)]
        {
            context.set_parameter(parameter).expect("within zstd's bounds");
        }
        let file = open(&path(root, 0));
        Self { root: root.into(), context, scratch: Vec::new(), file, at: 0, segment: 0 }
    }

    pub fn append(&mut self, lines: &[u8]) {
        self.scratch.clear();
        self.compress(lines, ZSTD_EndDirective::ZSTD_e_flush);
        self.write();
    }

    /// Ends the stream and begins the next file.
    pub fn seal(&mut self) -> PathBuf {
        self.scratch.clear();
        self.compress(&[], ZSTD_EndDirective::ZSTD_e_end);
        self.write();
        self.context.reset(ResetDirective::SessionOnly).expect("a context can be reset");
        let sealed = path(&self.root, self.segment);
        self.segment += 1;
        self.at = 0;
        self.file = open(&path(&self.root, self.segment));
        sealed
    }

    pub fn remove(sealed: &Path) {
        fs::remove_file(sealed).expect("removed");
    }

    fn compress(&mut self, lines: &[u8], directive: ZSTD_EndDirective) {
        let mut input = InBuffer::around(lines);
        self.scratch.reserve(compress_bound(lines.len()));
        loop {
            let filled = self.scratch.len();
            let mut output = OutBuffer::around_pos(&mut self.scratch, filled);
            let left = self.context.compress_stream2(&mut output, &mut input, directive).expect("compressed");
            if left == 0 && input.pos() == lines.len() {
                return;
            }
            self.scratch.reserve(left.max(1_024));
        }
    }

    fn write(&mut self) {
        self.file.write_all_at(&self.scratch, self.at).expect("written");
        self.at += self.scratch.len() as u64;
    }
}

fn path(root: &Path, segment: u64) -> PathBuf {
    root.join(format!("{segment:012}.zst"))
}

fn open(path: &Path) -> File {
    File::options().create_new(true).read(true).write(true).open(path).expect("a new file")
}
