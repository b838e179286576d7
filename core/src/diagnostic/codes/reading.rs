//! `S00xx`: reading files, from the bytes on the disk to the tree of values.

codes! {
    1 FILE_UNREADABLE "a file cannot be read" {
        "The file is there, and the system refuses to give its content: no permission, a fault of the disk, a link that points to itself."
        wrong: "// file: experiment.ron\nExperiment(data: \"data/no_permission.ron\")"
        right: "// file: experiment.ron\nExperiment(data: \"data/pasture.ron\")"
        untested: "needs a file without read permission"
    }
    2 FILE_TOO_LARGE "a file is larger than 4 MiB" {
        "A graph file holds structure, not data, so 4 MiB is far above any real one. The limit keeps a wrong or hostile file from filling the memory before its first line is looked at."
        wrong: "Module(doc: \"… four million characters …\")"
        right: "Module(doc: \"A few lines.\")"
        untested: "the wrong file is too large to print"
    }
    3 NOT_UTF8 "a file is not UTF-8 text" {
        "RON files are UTF-8. Bytes that are not (Latin-1 letters, UTF-16, a binary file with the wrong name) are refused at the first one, never guessed at."
        wrong: "Module(doc: \"caf\u{fffd}\") // saved as Latin-1"
        right: "Module(doc: \"café\") // saved as UTF-8"
        untested: "the wrong file cannot be printed on a page that is UTF-8"
    }
    4 EMPTY_FILE "a file holds no value" {
        "A file is one RON value. A file that is empty, or holds comments alone, describes nothing."
        wrong: "// A note for later."
        right: "Module(doc: \"A note for later.\")"
    }
    5 UNKNOWN_CHARACTER "a character that means nothing here" {
        "Outside of texts and comments the language uses letters, digits, `_`, and the signs `( ) [ ] { } , : \" + - .`. Look-alikes that an editor or a web page brings in (a no-break space, curved quotes, a Cyrillic letter in a name) are named by their Unicode number. Arithmetic is written in quotes."
        wrong: "Linear(units = 4)"
        right: "Linear(units: 4)"
    }
    6 MISSING_COMMA "a comma is missing" {
        "Items of a list, a map or a call are separated by commas. One after the last item is welcome."
        wrong: "Linear(units: 4 bias: false)"
        right: "Linear(units: 4, bias: false)"
    }
    7 UNEXPECTED_TOKEN "something else is expected here" {
        "The text is not RON at this place: a value, a colon or a closing bracket is expected, and something else was found."
        wrong: "Linear(units: , bias: false)"
        right: "Linear(units: 4, bias: false)"
    }
    8 UNCLOSED_DELIMITER "a bracket is never closed" {
        "Every `(`, `[` and `{` is closed by its own counterpart. The message points at the one that was opened and, where that can be told, at the place where its counterpart was expected."
        wrong: "Chain(layers: [Linear(units: 4), Gelu)"
        right: "Chain(layers: [Linear(units: 4), Gelu])"
    }
    9 STRAY_DELIMITER "a closing bracket that closes nothing" {
        "A `)`, `]` or `}` stands where no counterpart is open."
        wrong: "Linear(units: 4))"
        right: "Linear(units: 4)"
    }
    10 UNCLOSED_TEXT "a text is never closed" {
        "A text starts with `\"` and goes on, over line ends too, up to the next `\"` that no backslash precedes. One quote too few turns the rest of the file inside out, so the message points at the first text that is likely to lack its closing quote."
        wrong: "Linear(units: \"4 * width)"
        right: "Linear(units: \"4 * width\")"
    }
    11 UNCLOSED_COMMENT "a comment is never closed" {
        "A comment that starts with `/*` ends with `*/`. Such comments nest: each `/*` inside needs its own `*/`."
        wrong: "Linear(units: 4) /* sizes: /* narrow */"
        right: "Linear(units: 4) /* sizes: /* narrow */ */"
    }
    12 BAD_ESCAPE "an unknown escape in a text" {
        "After a backslash a text may hold `\\\"`, `\\\\`, `\\'`, `\\n`, `\\r`, `\\t`, `\\0`, two hexadecimal digits as `\\x41`, one to six as `\\u{e9}`, or a line end, which joins two lines. A backslash that is meant as itself is doubled, or the text is written raw: `r\"C:\\data\"`."
        wrong: "Module(doc: \"a 3\\% share\")"
        right: "Module(doc: \"a 3% share\")"
    }
    13 BAD_NUMBER "a number that cannot be read" {
        "Integers are written `12`, `-3`, `1_000`, `0xff`, `0o17` or `0b101`; other numbers `1.5`, `.5`, `3e-4`. A number with a type after it (`4u8`, `1.0f32`) is RON and not part of this language: types follow from where a number stands."
        wrong: "Dropout(p: 0.1.5)"
        right: "Dropout(p: 0.15)"
    }
    14 NUMBER_OUT_OF_RANGE "a number out of range" {
        "Integers have 64 bits, other numbers are finite 64-bit floating-point numbers. One that would silently become infinite or zero is refused, and so are `inf` and `NaN`."
        wrong: "AdamW(lr: 1e999)"
        right: "AdamW(lr: 1e-3)"
    }
    15 DUPLICATE_FIELD "a field is given twice" {
        "Each field of a call is given once. RON itself would take the last one silently; here both places are shown."
        wrong: "Linear(units: 4, units: 8)"
        right: "Linear(units: 4)"
    }
    16 DUPLICATE_KEY "a key is given twice" {
        "Each key of a map is given once. RON itself would take the last one silently; here both places are shown."
        wrong: "Module(nodes: { \"a\": Relu(from: \"x\"), \"a\": Gelu(from: \"x\") })"
        right: "Module(nodes: { \"a\": Relu(from: \"x\"), \"b\": Gelu(from: \"a\") })"
    }
    17 NESTED_TOO_DEEP "brackets are nested too deep" {
        "Brackets nest up to 100 levels. Real files stay under ten; the limit keeps a hostile file from exhausting the stack."
        wrong: "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"
        right: "[1]"
    }
    18 POSITIONAL_AFTER_NAMED "a value without a name after named fields" {
        "In a call, values without a name come first: `Float(1.5, above: 1.0)`. After the first named field every further one has a name."
        wrong: "Float(above: 1.0, 1.5)"
        right: "Float(1.5, above: 1.0)"
    }
    19 MORE_THAN_ONE_VALUE "a file holds more than one value" {
        "A file is one RON value. Whatever follows it would be ignored, so it is refused."
        wrong: "Module(doc: \"One.\")\nModule(doc: \"Two.\")"
        right: "Module(doc: \"One.\")"
    }
    20 UNUSED_RON "a form of RON that the language does not use" {
        "RON has forms that no graph file needs: `#![…]` attributes, characters in single quotes, byte strings, ranges `0..4`, raw names `r#x`. They are refused, so that each thing has one spelling."
        wrong: "Linear(units: 'a')"
        right: "Linear(units: \"a\")"
    }
    21 BAD_MAP_KEY "a map key that is not a simple value" {
        "The key of a map is a text, a name, an integer, `true` or `false`. Lists, maps, calls and fractions are not keys."
        wrong: "{ [1, 2]: \"a\" }"
        right: "{ \"1, 2\": \"a\" }"
    }
    22 REFUSED_BY_RON "RON's own reader refuses the text" {
        "Every text that Sward reads is also given to the `ron` crate, which is the authority on RON. It refuses this one for the reason in the message; the usual case is `Some` or `None`, which RON reserves for optional values."
        wrong: "Linear(bias: Some)"
        right: "Linear(bias: Some(true))"
    }
    30 FILE_NOT_FOUND "a file is not there" {
        "A path is looked up in the folder of the file that names it, then in the search roots in their order, then in the library that is built into the program. The message lists where it was looked for, and the nearest name that is there."
        wrong: "// file: main.ron\nUse(module: \"fusion/flim.ron\")\n// file: fusion/film.ron\nModule(doc: \"FiLM.\")"
        right: "// file: main.ron\nUse(module: \"fusion/film.ron\")\n// file: fusion/film.ron\nModule(doc: \"FiLM.\")"
    }
    31 ABSOLUTE_PATH "a path is absolute" {
        "A file names others by paths relative to itself or to a search root, written with `/`, so that a folder of graph files means the same on every machine."
        wrong: "Use(module: \"/home/me/fusion/film.ron\")"
        right: "Use(module: \"fusion/film.ron\")"
    }
    32 PARENT_PATH "a path goes up with `..`" {
        "A path may not contain `..`: a graph file must not reach outside of its roots. Name the file relative to a search root instead (`--root FOLDER` adds one)."
        wrong: "Use(module: \"../fusion/film.ron\")"
        right: "Use(module: \"fusion/film.ron\")"
    }
    33 PATH_LEAVES_ROOT "a path leads out of its root" {
        "The path passes through a symbolic link that leads out of the root in which it was found. Links within a root are followed."
        wrong: "Use(module: \"linked/film.ron\") // linked -> /home/me/elsewhere"
        right: "Use(module: \"fusion/film.ron\")"
        untested: "needs a symbolic link"
    }
    34 NOT_A_FILE "a path names something that is not a file" {
        "The path names a folder, a pipe, a socket or a device. Only regular files are opened, and what a path names is looked at before it is opened, so that nothing waits on a pipe."
        wrong: "// file: main.ron\nUse(module: \"fusion\")\n// file: fusion/film.ron\nModule(doc: \"FiLM.\")"
        right: "// file: main.ron\nUse(module: \"fusion/film.ron\")\n// file: fusion/film.ron\nModule(doc: \"FiLM.\")"
    }
    35 BAD_PATH "a path cannot be a file's name" {
        "A path is one or more names separated by `/`. It is not empty, has no empty name, no `.`, no backslash and no control character."
        wrong: "Use(module: \"fusion\\\\film.ron\")"
        right: "Use(module: \"fusion/film.ron\")"
    }
}
