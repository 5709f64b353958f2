//! A Rust file with its comments and strings told apart from its code, line by line.
//!
//! This is no parser: it knows comments, strings, characters and braces, which is what the rules
//! need, and it never looks at types.

/// One file, prepared for the rules.
pub(super) struct Source {
    /// Relative to the root, with `/`.
    pub(super) path: String,
    /// The lines as they are.
    pub(super) raw: Vec<String>,
    /// The lines with comments and the insides of strings replaced by blanks; joined by newlines.
    pub(super) code: String,
    /// The comments alone, a line each.
    pub(super) comments: Vec<String>,
    /// For every line: is it test code?
    pub(super) test: Vec<bool>,
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Self {
        let (code, comments) = split(text);
        let raw: Vec<String> = text.lines().map(str::to_owned).collect();
        let comments = comments.lines().map(str::to_owned).collect();
        let test = if is_test_file(path) {
            vec![true; raw.len()]
        } else {
            test_lines(&code, raw.len())
        };
        Self {
            path: path.to_owned(),
            raw,
            code,
            comments,
            test,
        }
    }

    /// Is line `line` (from 1) test code?
    pub(super) fn is_test(&self, line: usize) -> bool {
        self.test.get(line - 1).copied().unwrap_or(false)
    }

    /// The number (from 1) of the line that holds byte `at` of `code`.
    pub(super) fn line_of(&self, at: usize) -> usize {
        1 + self
            .code
            .bytes()
            .take(at)
            .filter(|byte| *byte == b'\n')
            .count()
    }

    /// The module of the root crate that this file belongs to: `engine` for `src/engine/x.rs`.
    pub(super) fn module(&self) -> Option<&str> {
        let below = self.path.strip_prefix("src/")?;
        below.split_once('/').map(|(module, _)| module)
    }
}

/// Is the whole file test code? Benches and the test folders are, and `tests.rs` beside its module.
fn is_test_file(path: &str) -> bool {
    let mut parts = path.split('/');
    parts.clone().next() == Some("benches")
        || path.starts_with("src/testing/")
        || path.ends_with("tests.rs")
        || parts.any(|part| part == "tests")
}

/// The code with blanks for comments and strings, and the comments with blanks for the rest. Both
/// keep every newline.
fn split(text: &str) -> (String, String) {
    let mut splitter = Splitter {
        rest: text.chars().collect(),
        at: 0,
        code: String::with_capacity(text.len()),
        comments: String::new(),
    };
    splitter.run();
    (splitter.code, splitter.comments)
}

struct Splitter {
    rest: Vec<char>,
    at: usize,
    code: String,
    comments: String,
}

impl Splitter {
    fn run(&mut self) {
        while let Some(c) = self.peek(0) {
            match c {
                '/' if self.peek(1) == Some('/') => self.line_comment(),
                '/' if self.peek(1) == Some('*') => self.block_comment(),
                '"' => self.string(),
                'r' if !self.after_word() && self.raw_hashes(1).is_some() => self.raw_string(1),
                'b' if !self.after_word()
                    && self.peek(1) == Some('r')
                    && self.raw_hashes(2).is_some() =>
                {
                    self.raw_string(2);
                }
                '\'' => self.quote(),
                _ => self.keep(),
            }
        }
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.rest.get(self.at + ahead).copied()
    }

    /// The next character is code.
    fn keep(&mut self) {
        if let Some(c) = self.peek(0) {
            self.code.push(c);
            self.comments.push(if c == '\n' { '\n' } else { ' ' });
            self.at += 1;
        }
    }

    /// The next character is inside a comment or a string.
    fn blank(&mut self, comment: bool) {
        if let Some(c) = self.peek(0) {
            let blank = if c == '\n' { '\n' } else { ' ' };
            self.code.push(blank);
            self.comments.push(if comment { c } else { blank });
            self.at += 1;
        }
    }

    fn line_comment(&mut self) {
        while self.peek(0).is_some_and(|c| c != '\n') {
            self.blank(true);
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        loop {
            let pair = (self.peek(0), self.peek(1));
            match pair {
                (Some('/'), Some('*')) => depth += 1,
                (Some('*'), Some('/')) => depth = depth.saturating_sub(1),
                (None, _) => return,
                _ => {
                    self.blank(true);
                    continue;
                }
            }
            self.blank(true);
            self.blank(true);
            if depth == 0 {
                return;
            }
        }
    }

    fn string(&mut self) {
        self.keep();
        while let Some(c) = self.peek(0) {
            match c {
                '\\' => {
                    self.blank(false);
                    self.blank(false);
                }
                '"' => {
                    self.keep();
                    return;
                }
                _ => self.blank(false),
            }
        }
    }

    /// The number of `#` where a raw string begins `skip` characters ahead.
    fn raw_hashes(&self, skip: usize) -> Option<usize> {
        let mut hashes = 0;
        while self.peek(skip + hashes) == Some('#') {
            hashes += 1;
        }
        (self.peek(skip + hashes) == Some('"')).then_some(hashes)
    }

    fn raw_string(&mut self, skip: usize) {
        let hashes = self.raw_hashes(skip).unwrap_or(0);
        for _ in 0..=skip + hashes {
            self.keep();
        }
        while let Some(c) = self.peek(0) {
            let ends = c == '"' && (1..=hashes).all(|k| self.peek(k) == Some('#'));
            if ends {
                for _ in 0..=hashes {
                    self.keep();
                }
                return;
            }
            self.blank(false);
        }
    }

    /// A character literal, or the tick of a lifetime.
    fn quote(&mut self) {
        let literal = match self.peek(1) {
            Some('\\') => true,
            Some(_) => self.peek(2) == Some('\''),
            None => false,
        };
        self.keep();
        if !literal {
            return;
        }
        if self.peek(0) == Some('\\') {
            self.blank(false);
        }
        self.blank(false);
        while self.peek(0).is_some_and(|c| c != '\'' && c != '\n') {
            self.blank(false);
        }
        self.keep();
    }

    /// Does a name go on here, so that an `r` or `b` is part of it?
    fn after_word(&self) -> bool {
        self.code.chars().next_back().is_some_and(is_word)
    }
}

/// May `c` stand in a name?
pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// For each line: does it stand in an item under `#[cfg(test)]`?
fn test_lines(code: &str, lines: usize) -> Vec<bool> {
    let mut test = vec![false; lines];
    for mark in ["#[cfg(test)]", "#[cfg(any(test", "#[cfg(all(test"] {
        for (at, _) in code.match_indices(mark) {
            let end = item_end(code, at);
            let first = code.bytes().take(at).filter(|byte| *byte == b'\n').count();
            let last = code.bytes().take(end).filter(|byte| *byte == b'\n').count();
            for line in test.iter_mut().take(last + 1).skip(first) {
                *line = true;
            }
        }
    }
    test
}

/// The end of the item that begins at `from`: its closing brace, or its semicolon.
fn item_end(code: &str, from: usize) -> usize {
    let (mut braces, mut brackets) = (0_usize, 0_usize);
    for (at, byte) in code.bytes().enumerate().skip(from) {
        match byte {
            b'(' | b'[' => brackets += 1,
            b')' | b']' => brackets = brackets.saturating_sub(1),
            b'{' => braces += 1,
            b'}' => {
                braces = braces.saturating_sub(1);
                if braces == 0 {
                    return at;
                }
            }
            b';' if braces == 0 && brackets == 0 => return at,
            _ => {}
        }
    }
    code.len()
}
