//! Texts and places in them.
//!
//! Every file that Sward reads becomes a [`SourceFile`] in one append-only [`Sources`] store. A [`Span`] is a byte range of one of
//! them, small enough to be copied into every node of every later stage, so that each stage can point at the text it speaks of.
//!
//! Offsets are bytes; what people see is a [`Position`]: a 1-based line, and a 1-based column counted in characters (a tab is one).
//! Lines end with `\n` or `\r\n`. A leading byte order mark is taken off when a text is added, so that no position counts it.

use std::ops::Range;
use std::sync::Arc;

/// Names one file of a [`Sources`] store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(u32);

impl FileId {
    /// The file's place in the order in which files were added.
    pub fn index(self) -> usize {
        self.0 as usize
    }

    /// The file that was added at this place; used where an id comes back from [`FileId::index`].
    pub(crate) fn from_index(index: u32) -> FileId {
        FileId(index)
    }
}

/// A byte range of one file: where something was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// The first byte.
    pub start: u32,
    /// One past the last byte; equal to `start` for a place between two characters.
    pub end: u32,
}

impl Span {
    /// The span of `range` in `file`. Offsets saturate at 4 GiB, far above the size a file may have.
    pub fn new(file: FileId, range: Range<usize>) -> Self {
        let clamp = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        Self { file, start: clamp(range.start), end: clamp(range.end) }
    }

    /// The empty span at `offset`.
    pub fn at(file: FileId, offset: usize) -> Self {
        Self::new(file, offset..offset)
    }

    /// The byte range.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The smallest span that covers both. They lie in one file; if not, `self` is returned.
    pub fn to(self, other: Span) -> Self {
        if self.file != other.file {
            return self;
        }
        Self { file: self.file, start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// Whether `other` lies within this span.
    pub fn contains(self, other: Span) -> bool {
        self.file == other.file && self.start <= other.start && other.end <= self.end
    }

    /// The empty span just after this one.
    pub fn after(self) -> Self {
        Self { start: self.end, ..self }
    }
}

/// A value and the place where it was written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it was written.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// Joins a value and its place.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }

    /// The same place with another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Spanned<U> {
        Spanned { value: change(self.value), span: self.span }
    }
}

/// A place as people count: line and column from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

/// One text with the name it is shown under.
#[derive(Debug, Clone)]
pub struct SourceFile {
    path: String,
    text: Arc<str>,
    line_starts: Vec<u32>,
}

impl SourceFile {
    fn new(path: String, text: Arc<str>) -> Self {
        let mut line_starts = vec![0];
        line_starts.extend(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(index, _)| index as u32 + 1));
        Self { path, text, line_starts }
    }

    /// The path as it is shown to people.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The whole text, without a byte order mark.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How many lines the text has; the empty text has one.
    pub fn line_count(&self) -> usize {
        self.line_starts.len()
    }

    /// The 1-based line that holds `offset`.
    pub fn line_of(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start as usize <= offset)
    }

    /// The byte range of a 1-based line, without its line end; empty past the last line.
    pub fn line_range(&self, line: usize) -> Range<usize> {
        let length = self.text.len();
        let start = self.line_starts.get(line.wrapping_sub(1)).map_or(length, |start| *start as usize);
        let end = self.line_starts.get(line).map_or(length, |start| *start as usize);
        let end = start + self.text[start..end].trim_end_matches('\n').trim_end_matches('\r').len();
        start..end
    }

    /// Line and column of a byte offset. An offset inside a character counts as that character; one past the end, as the end.
    pub fn position(&self, offset: usize) -> Position {
        let offset = char_start(&self.text, offset);
        let line = self.line_of(offset);
        let start = self.line_starts[line - 1] as usize;
        Position { line, column: self.text[start..offset].chars().count() + 1 }
    }
}

/// The start of the character that holds `offset`; the text's length past its end.
pub(crate) fn char_start(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

/// All texts of one invocation, in the order in which they were added. Append-only: a [`Span`] stays valid. A copy shares the texts.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    files: Vec<Arc<SourceFile>>,
}

impl Sources {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a text under the path that people are shown. A leading byte order mark is taken off.
    pub fn add(&mut self, path: impl Into<String>, text: impl Into<Arc<str>>) -> FileId {
        let mut text: Arc<str> = text.into();
        if let Some(rest) = text.strip_prefix('\u{feff}') {
            text = Arc::from(rest);
        }
        let id = FileId(self.files.len() as u32);
        self.files.push(Arc::new(SourceFile::new(path.into(), text)));
        id
    }

    /// The file that `id` names.
    pub fn file(&self, id: FileId) -> &SourceFile {
        &self.files[id.index()]
    }

    /// The path of a file as it is shown to people.
    pub fn path(&self, id: FileId) -> &str {
        self.file(id).path()
    }

    /// The whole text of a file.
    pub fn text(&self, id: FileId) -> &str {
        self.file(id).text()
    }

    /// A file's text, shared: it can be held while more files are added.
    pub fn shared_text(&self, id: FileId) -> Arc<str> {
        Arc::clone(&self.file(id).text)
    }

    /// The text that a span covers.
    pub fn slice(&self, span: Span) -> &str {
        &self.text(span.file)[span.range()]
    }

    /// Line and column of the span's first character.
    pub fn start(&self, span: Span) -> Position {
        self.file(span.file).position(span.start as usize)
    }

    /// Line and column just after the span's last character.
    pub fn end(&self, span: Span) -> Position {
        self.file(span.file).position(span.end as usize)
    }

    /// `path:line:column` of a span.
    pub fn place(&self, span: Span) -> String {
        let Position { line, column } = self.start(span);
        format!("{}:{line}:{column}", self.path(span.file))
    }

    /// All files with their ids, in the order in which they were added.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (FileId, &SourceFile)> {
        self.files.iter().enumerate().map(|(index, file)| (FileId(index as u32), &**file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(text: &str, offset: usize) -> (usize, usize) {
        let mut sources = Sources::new();
        let file = sources.add("a.ron", text);
        let Position { line, column } = sources.file(file).position(offset);
        (line, column)
    }

    #[test]
    fn columns_count_characters_and_lines_end_with_either_line_end() {
        let text = "é\tx\r\nþ: 1\n\nend";
        assert_eq!(position(text, 0), (1, 1));
        assert_eq!(position(text, 2), (1, 2));
        assert_eq!(position(text, 3), (1, 3));
        assert_eq!(position(text, text.find("þ").unwrap()), (2, 1));
        assert_eq!(position(text, text.find(':').unwrap()), (2, 2));
        assert_eq!(position(text, text.find("end").unwrap()), (4, 1));
        assert_eq!(position(text, text.len()), (4, 4));
        assert_eq!(position(text, text.len() + 10), (4, 4));
    }

    #[test]
    fn an_offset_inside_a_character_counts_as_that_character() {
        assert_eq!(position("aé", 2), (1, 2));
    }

    #[test]
    fn a_byte_order_mark_is_not_counted() {
        assert_eq!(position("\u{feff}ab", 1), (1, 2));
    }

    #[test]
    fn a_line_range_leaves_out_the_line_end() {
        let mut sources = Sources::new();
        let file = sources.add("a.ron", "one\r\ntwo\n");
        let file = sources.file(file);
        assert_eq!(&file.text()[file.line_range(1)], "one");
        assert_eq!(&file.text()[file.line_range(2)], "two");
        assert_eq!(&file.text()[file.line_range(3)], "");
        assert_eq!(&file.text()[file.line_range(9)], "");
        assert_eq!(file.line_count(), 3);
    }
}
