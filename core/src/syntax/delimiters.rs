//! Makes the brackets of a token stream balance, so that the parser meets whole groups only.
//!
//! A bracket that is never closed gets a closing token of no width where its counterpart was needed, and one that closes nothing is
//! dropped; both are reported. Groups that were mended so are marked: what looks wrong directly inside them is a consequence.

use super::Faults;
use super::lexer::{Delimiter, Lexeme, Token};
use crate::diagnostic::{Diagnostic, codes};
use crate::source::{FileId, Span};

/// A token stream whose brackets balance.
pub(super) struct Stream {
    pub tokens: Vec<Lexeme>,
    /// For an opening token the index of its closing one; 0 elsewhere.
    pub closes: Vec<u32>,
    /// For an opening token, whether its closing token had to be made up; the last entry stands for the whole file.
    pub mended: Vec<bool>,
}

struct Open {
    delimiter: Delimiter,
    index: usize,
    lexeme: Lexeme,
    line: Line,
}

/// The line that a token starts on: where it begins, and by how many bytes it is indented.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Line {
    start: usize,
    indent: usize,
}

/// A pair that matches in kind while its lines are indented differently: a hint where a missing bracket may be.
struct Suspect {
    open: Lexeme,
    close: Lexeme,
    depth: usize,
}

/// Balances the brackets of `tokens`.
pub(super) fn balance(text: &str, file: FileId, tokens: Vec<Lexeme>, faults: &mut Faults) -> Stream {
    let mut balancer = Balancer {
        text,
        file,
        faults,
        stack: Vec::new(),
        suspects: Vec::new(),
        stream: Stream { tokens: Vec::with_capacity(tokens.len()), closes: Vec::new(), mended: Vec::new() },
        stray: false,
        open_of: [0; 3],
        line: Line { start: 0, indent: indent(text) },
        seen: 0,
    };
    for lexeme in tokens {
        balancer.advance(lexeme.start as usize);
        match lexeme.token {
            Token::Open(delimiter) => {
                balancer.open_of[delimiter as usize] += 1;
                let index = balancer.put(lexeme);
                let line = balancer.line;
                balancer.stack.push(Open { delimiter, index, lexeme, line });
            }
            Token::Close(delimiter) => balancer.close(delimiter, lexeme),
            _ => {
                balancer.put(lexeme);
            }
        }
    }
    balancer.end_of_file();
    let Balancer { mut stream, stray, .. } = balancer;
    stream.mended.push(stray);
    stream
}

struct Balancer<'a> {
    text: &'a str,
    file: FileId,
    faults: &'a mut Faults,
    stack: Vec<Open>,
    suspects: Vec<Suspect>,
    stream: Stream,
    stray: bool,
    /// How many brackets of each kind are open, so that a stray one is known without walking the stack.
    open_of: [usize; 3],
    /// The line of the token at hand, and up to where the text was searched for line ends.
    line: Line,
    seen: usize,
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches([' ', '\t']).len()
}

impl Balancer<'_> {
    /// Moves on to the line of the token that starts at `at`.
    fn advance(&mut self, at: usize) {
        if let Some(index) = self.text[self.seen..at].rfind('\n') {
            let start = self.seen + index + 1;
            self.line = Line { start, indent: indent(&self.text[start..]) };
        }
        self.seen = at;
    }

    fn put(&mut self, lexeme: Lexeme) -> usize {
        self.stream.tokens.push(lexeme);
        self.stream.closes.push(0);
        self.stream.mended.push(false);
        self.stream.tokens.len() - 1
    }

    fn pop(&mut self, close: Lexeme, mended: bool) {
        if let Some(open) = self.stack.pop() {
            self.open_of[open.delimiter as usize] -= 1;
            let index = self.put(close);
            self.stream.closes[open.index] = index as u32;
            self.stream.mended[open.index] = mended;
        }
    }

    fn close(&mut self, delimiter: Delimiter, lexeme: Lexeme) {
        if self.open_of[delimiter as usize] == 0 {
            self.report_stray(delimiter, lexeme);
            return;
        }
        while let Some(open) = self.stack.last() {
            if open.delimiter == delimiter {
                if open.line.indent != self.line.indent && open.line.start != self.line.start {
                    self.suspects.push(Suspect { open: open.lexeme, close: lexeme, depth: self.stack.len() });
                }
                self.pop(lexeme, false);
                return;
            }
            let opener = open.lexeme;
            let needed = open.delimiter.close();
            let found = delimiter.close();
            if !self.faults.is_full() {
                let message = format!("`{}` is never closed", open.delimiter.open());
                let fault = Diagnostic::new(codes::UNCLOSED_DELIMITER, message, opener.span(self.file))
                    .text("opened here")
                    .label(lexeme.span(self.file), format!("`{needed}` is needed before this `{found}`"));
                let fault = self.with_suspect(fault, self.stack.len());
                self.faults.push(fault);
            }
            let virtual_close = Lexeme { token: Token::Close(open.delimiter), start: lexeme.start, end: lexeme.start };
            self.pop(virtual_close, true);
        }
    }

    fn report_stray(&mut self, delimiter: Delimiter, lexeme: Lexeme) {
        self.stray = true;
        if let Some(open) = self.stack.last() {
            self.stream.mended[open.index] = true;
        }
        if self.faults.is_full() {
            return;
        }
        let mut fault =
            Diagnostic::new(codes::STRAY_DELIMITER, format!("`{}` closes nothing", delimiter.close()), lexeme.span(self.file))
                .text(format!("no `{}` is open here", delimiter.open()));
        if let Some(suspect) = self.suspects.iter().rfind(|suspect| suspect.depth > self.stack.len()) {
            fault =
                fault.label(suspect.close.span(self.file), "this one is indented differently from the bracket that it closes");
            fault = fault.label(suspect.open.span(self.file), "which was opened here");
        }
        self.faults.push(fault);
    }

    /// Labels the last pair deeper than `depth` whose indentation does not fit.
    fn with_suspect(&self, fault: Diagnostic, depth: usize) -> Diagnostic {
        match self.suspects.iter().rfind(|suspect| suspect.depth > depth) {
            Some(suspect) => fault
                .label(suspect.open.span(self.file), "this one may lack its counterpart")
                .label(suspect.close.span(self.file), "because the one that closes it is indented differently"),
            None => fault,
        }
    }

    /// Closes what is still open, and reports it once: at the innermost, with a hint at a pair whose indentation does not fit.
    fn end_of_file(&mut self) {
        let Some(innermost) = self.stack.last() else { return };
        let depth = self.stack.len();
        let end = self.text.trim_end().len();
        let mut fault = Diagnostic::new(
            codes::UNCLOSED_DELIMITER,
            format!("`{}` is never closed", innermost.delimiter.open()),
            innermost.lexeme.span(self.file),
        )
        .text("opened here");
        fault = self.with_suspect(fault, depth);
        let missing: String = self.stack.iter().rev().take(20).map(|open| open.delimiter.close()).collect();
        fault = fault.label(Span::at(self.file, end), "the file ends here").help(format!("`{missing}` is missing"));
        self.faults.push(fault);
        let at = self.text.len() as u32;
        while let Some(open) = self.stack.last() {
            let close = Lexeme { token: Token::Close(open.delimiter), start: at, end: at };
            self.pop(close, true);
        }
    }
}
