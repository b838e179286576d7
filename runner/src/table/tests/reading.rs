//! Reading CSV: what is right keeps its texts and lines, what is wrong is named.

use proptest::prelude::*;

use super::*;

#[test]
fn cells_keep_their_texts_and_lines() {
    let table = table("a,\"b, c\"\n\n1,\"x\ny\"\r\n2,\"say \"\"so\"\"\"\n");
    assert_eq!(table.names().collect::<Vec<_>>(), ["a", "b, c"]);
    assert_eq!(texts(&table, "b, c"), ["x\ny", "say \"so\""]);
    // The first row follows an empty line and spans two lines itself.
    assert_eq!(table.column("a").unwrap().place(0).line, 3);
    assert_eq!(table.column("a").unwrap().place(1).to_string(), "t.csv:5: column \"a\"");
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_name() {
    assert_eq!(table("\u{feff}a,b\n1,2\n").names().collect::<Vec<_>>(), ["a", "b"]);
    assert!(fault(b"\xFF\xFEa\0,\0b\0\n\0").contains("UTF-16"));
}

#[test]
fn one_row_without_a_line_end_is_a_table() {
    let table = table("a,b\n1,2");
    assert_eq!((table.rows(), texts(&table, "b")), (1, vec!["2".to_owned()]));
}

#[test]
fn an_empty_file_and_a_lone_header_are_errors() {
    assert_eq!(fault(b""), "t.csv: the file is empty; a table has a header line and at least one row");
    assert_eq!(fault(b"\xEF\xBB\xBF\n \n"), fault(b""));
    assert_eq!(fault(b"a,b\n"), "t.csv: there is a header but no row");
}

#[test]
fn a_ragged_row_names_its_line_and_what_is_missing() {
    assert_eq!(fault(b"a,b,c\n1,2,3\n\n4,5\n"), "t.csv:4: the row has 2 cells but the header has 3: \"c\" is missing");
    assert_eq!(
        fault(b"a,b\n1,2,5\n"),
        "t.csv:2: the row has 3 cells but the header has 2: \"5\" is too much; quote a cell that holds the delimiter"
    );
}

#[test]
fn a_duplicate_header_names_both_places() {
    assert_eq!(fault(b"a,b,a\n1,2,3\n"), "t.csv:1: the header has the column \"a\" twice, as number 1 and number 3; rename one");
}

#[test]
fn an_unclosed_quote_is_named_where_it_opens() {
    assert_eq!(
        fault(b"a,b\n1,x\n2,\"y\n3,z\n4,w\n"),
        "t.csv:3: column \"b\": the quote that opens here is never closed: it swallows the file up to line 6"
    );
    // A later quote closes it before more text: the rows between would be lost without a word.
    assert_eq!(
        fault(b"a,b\n1,\"y\n3,\"z\"\n4,w\n"),
        "t.csv:2: column \"b\": the quote that opens here closes in line 3 before more text; \
         close it where the cell ends, and write a quote within a cell twice"
    );
}

#[test]
fn latin_1_is_named_with_its_place_and_a_mend() {
    assert_eq!(
        fault(b"name,state\n\"a,\nb\",ok\nbl\xE9,x\n"),
        "t.csv:4: column \"name\": the byte 0xE9 is not UTF-8 (it is 'é' in Latin-1); \
         convert the file: iconv -f LATIN1 -t UTF-8 OLD.csv > NEW.csv"
    );
    assert_eq!(fault(b"a,b\n1,\0\n"), "t.csv:2: column \"b\": there is a zero byte; this is not a text file");
}

#[test]
fn fields_and_columns_have_limits() {
    let long = |length: usize| [b"a,b\n1,".to_vec(), vec![b'x'; length], b"\n".to_vec()].concat();
    assert!(parse(&long(MAX_FIELD_BYTES), "t.csv", &ReadOptions::default()).is_ok());
    assert_eq!(fault(&long(MAX_FIELD_BYTES + 3)), "t.csv:2: column \"b\": the cell is above the limit of 1048576 bytes");
    let open = [b"a,b\n1,\"".to_vec(), vec![b'x'; 2 * MAX_FIELD_BYTES]].concat();
    assert!(fault(&open).ends_with("; is its quote ever closed?"), "{}", fault(&open));
    let wide = (0..=MAX_COLUMNS).map(|index| index.to_string()).collect::<Vec<_>>().join(",");
    assert!(fault(wide.as_bytes()).ends_with("more than 10000 columns"), "{}", fault(wide.as_bytes()));
}

#[test]
fn another_delimiter_is_suspected_and_can_be_stated() {
    assert_eq!(fault(b"a;b\n1;2\n"), "t.csv:1: the header is one column, \"a;b\"; is the delimiter ';'?");
    let table = parse(b"a;b\n1,5;2\n", "t.csv", &ReadOptions { delimiter: b';' }).unwrap();
    assert_eq!(texts(&table, "a"), ["1,5"]);
}

#[test]
fn an_unknown_column_suggests_the_nearest() {
    let message = table("Height_Ave_cm,State\n1,2\n").column("Height_Ave_mm").unwrap_err().to_string();
    assert_eq!(message, "t.csv: there is no column \"Height_Ave_mm\"; did you mean \"Height_Ave_cm\"?");
    let message = table("a,b\n1,2\n").column("temperature").unwrap_err().to_string();
    assert_eq!(message, "t.csv: there is no column \"temperature\"; its columns are a, b");
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let message = read(std::path::Path::new("/nonexistent/t.csv"), &ReadOptions::default()).unwrap_err().to_string();
    assert!(message.starts_with("/nonexistent/t.csv: cannot read the table: "), "{message}");
    let folder = tempfile::tempdir().unwrap();
    let error = read(folder.path(), &ReadOptions::default()).unwrap_err();
    assert!(matches!(error, TableError::NotAFile { .. }), "{error}");
}

#[test]
fn a_column_range_counts_by_its_number() {
    let table = table("label,p0,p1,p2\n1,2,3,4\n");
    assert_eq!(table.range("p0..p2").unwrap(), ["p0", "p1", "p2"]);
    assert!(table.range("p0..p3").unwrap_err().to_string().contains("\"p3\""));
    for (range, cause) in [
        ("p0", "has no"),
        ("p2..p0", "is empty"),
        ("p0..q2", "two prefixes"),
        ("label..p2", "does not start"),
        ("p0..p99999999999999999999", "does not end"),
    ] {
        let message = table.range(range).unwrap_err().to_string();
        assert!(message.contains(cause), "{message}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes, "t.csv", &ReadOptions::default());
    }

    #[test]
    fn arbitrary_arrangements_of_csv_never_panic(text in "[a\",\n\r;1é]{0,60}") {
        if let Ok(table) = parse(text.as_bytes(), "t.csv", &ReadOptions::default()) {
            for column in table.columns() {
                prop_assert_eq!(column.rows(), table.rows());
                // Lines grow from row to row and lie in the file.
                let lines: Vec<u64> = (0..table.rows()).map(|row| column.place(row).line).collect();
                prop_assert!(lines.windows(2).all(|pair| pair[0] <= pair[1]), "{:?}", lines);
                let last = 1 + text.matches('\n').count() as u64;
                prop_assert!(lines.iter().all(|line| (1..=last).contains(line)), "{:?}", lines);
            }
        }
    }
}
