//! Pivots, distinct keys and joins.

use super::*;

const LONG: &str = "sample_id,image_path,State,target_name,target\n\
    A__Clover,a.jpg,Tas,Clover,0\n\
    A__Dead,a.jpg,Tas,Dead,12.5\n\
    B__Dead,b.jpg,Vic,Dead,3\n\
    A__Green,a.jpg,Tas,Green,7\n";

fn pivot() -> Pivot {
    Pivot { key: "image_path".to_owned(), name: "target_name".to_owned(), value: "target".to_owned() }
}

#[test]
fn a_pivot_leaves_missing_combinations_missing() {
    let keyed = table(LONG).pivot(&pivot()).unwrap();
    assert_eq!(keyed.made, ["Clover", "Dead", "Green"]);
    assert_eq!(keyed.table.names().collect::<Vec<_>>(), ["image_path", "State", "Clover", "Dead", "Green"]);
    assert_eq!(texts(&keyed.table, "image_path"), ["a.jpg", "b.jpg"]);
    assert_eq!(texts(&keyed.table, "Clover"), ["0", "-"]);
    assert_eq!(texts(&keyed.table, "Dead"), ["12.5", "3"]);
    // A zero that is stated is observed, a combination that is not stated is not.
    let clover = numbers(keyed.table.column("Clover").unwrap(), &MissingRule::usual()).unwrap();
    assert_eq!(clover.observed, [true, false]);
    let message = numbers(keyed.table.column("Clover").unwrap(), &MissingRule::refuse()).unwrap_err().to_string();
    assert_eq!(
        message,
        "t.csv: column \"target (Clover)\": no row states a value, and this column does not allow missing values"
    );
}

#[test]
fn a_pivot_names_the_columns_that_vary_within_a_key() {
    let keyed = table(LONG).pivot(&pivot()).unwrap();
    assert_eq!(keyed.varying.len(), 1);
    assert_eq!(keyed.varying[0].column, "sample_id");
    assert_eq!((keyed.varying[0].first.line, keyed.varying[0].second.line), (2, 3));
}

#[test]
fn a_pivoted_cell_knows_its_line() {
    let keyed = table(LONG).pivot(&pivot()).unwrap();
    assert_eq!(keyed.table.column("Dead").unwrap().place(1).to_string(), "t.csv:4: column \"target (Dead)\"");
}

#[test]
fn a_key_and_name_that_meet_twice_are_an_error_with_both_lines() {
    let text = format!("{LONG}X,a.jpg,Tas,Dead,12.5\n");
    let message = table(&text).pivot(&pivot()).unwrap_err().to_string();
    assert_eq!(
        message,
        "t.csv:6: column \"target_name\": \"Dead\" of image_path \"a.jpg\" stands twice, in line 3 and here; \
         a key and a name may meet only once"
    );
}

#[test]
fn empty_keys_and_names_are_errors() {
    let message = table("k,n,v\n,a,1\n").pivot(&Pivot { key: "k".into(), name: "n".into(), value: "v".into() });
    assert_eq!(message.unwrap_err().to_string(), "t.csv:2: column \"k\": the key is empty");
    let message = table("k,n,v\na,,1\n").pivot(&Pivot { key: "k".into(), name: "n".into(), value: "v".into() });
    assert!(message.unwrap_err().to_string().starts_with("t.csv:2: column \"n\": the name"));
    let message = table("k,n,v,a\nx,a,1,2\n").pivot(&Pivot { key: "k".into(), name: "n".into(), value: "v".into() });
    assert!(message.unwrap_err().to_string().contains("the table has one already"));
}

#[test]
fn distinct_keys_keep_the_order_of_the_file() {
    let test = table("sample_id,image_path,target_name\nB__x,b.jpg,x\nA__x,a.jpg,x\nB__y,b.jpg,y\n");
    let keyed = test.distinct("image_path").unwrap();
    assert_eq!(texts(&keyed.table, "image_path"), ["b.jpg", "a.jpg"]);
    let varying: Vec<&str> = keyed.varying.iter().map(|varying| varying.column.as_str()).collect();
    assert_eq!(varying, ["sample_id", "target_name"]);
}

#[test]
fn a_join_keeps_every_row_and_reports_what_found_no_partner() {
    let left = table("image,y\na,1\nb,2\nc,3\na,4\n");
    let right = parse(b"id,height\nc,30\na,10\nz,99\n", "meta.csv", &ReadOptions::default()).unwrap();
    let joined = left.join(&right, "image", "id").unwrap();
    assert_eq!(texts(&joined.table, "height"), ["10", "-", "30", "10"]);
    assert_eq!(joined.table.column("height").unwrap().place(2).to_string(), "meta.csv:2: column \"height\"");
    assert_eq!(joined.unmatched.count, 1);
    assert_eq!(joined.unmatched.examples[0].0, "b");
    assert_eq!(joined.unmatched.examples[0].1.to_string(), "t.csv:3: column \"image\"");
    assert_eq!((joined.unused.count, joined.unused.examples[0].0.as_str()), (1, "z"));
}

#[test]
fn a_join_refuses_duplicate_keys_and_columns() {
    let left = table("image,y\na,1\n");
    let right = parse(b"image,h\na,1\nb,2\na,3\n", "meta.csv", &ReadOptions::default()).unwrap();
    assert_eq!(
        left.join(&right, "image", "image").unwrap_err().to_string(),
        "meta.csv:4: column \"image\": the key \"a\" stands twice, in line 2 and here; \
         pivot or reduce the file before joining it"
    );
    let right = parse(b"image,y\na,1\n", "meta.csv", &ReadOptions::default()).unwrap();
    assert_eq!(
        left.join(&right, "image", "image").unwrap_err().to_string(),
        "meta.csv: its column \"y\" is in t.csv, too; rename one"
    );
}

#[test]
fn picked_rows_keep_their_lines() {
    let picked = table("a\nx\ny\nz\n").pick(&[2, 0]);
    assert_eq!(texts(&picked, "a"), ["z", "x"]);
    assert_eq!(picked.column("a").unwrap().place(0).line, 4);
}
