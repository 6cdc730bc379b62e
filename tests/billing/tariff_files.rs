//! Price lists from CSV: what is let in, and that anything wrong refuses the whole file with line, column and reason.

use sklic::billing::{COLUMNS, Component, MAX_REPORTED, SPLIT_COLUMN, Split, Tariff, TariffVersion};

use crate::support::{HEADER, import, new_year, tariff};

const GOOD: &str = "call,+386,Slovenia,0.00,0.03,60,30,0,0.0001,22,,\n";

/// The errors of a file, as they are told.
fn refused(file: &[u8]) -> Vec<String> {
    let errors = import(file).map(|_| ()).expect_err("the file was let in");
    errors.to_string().lines().map(str::to_owned).collect()
}

/// The errors of a file with the header, a good row in line 2, and these rows below.
fn refused_rows(rows: &str) -> Vec<String> {
    refused(format!("{HEADER}{GOOD}{rows}").as_bytes())
}

#[test]
fn the_sample_is_let_in_and_prices_every_kind_of_number() {
    let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/tariffs/sample.csv")).unwrap();
    let sample = Tariff::new("sample".into(), vec![import(&file).unwrap()]);
    for number in ["+38615550211", "+38640555136", "+4315550514", "+12025550100", "19819", "+38613099396"] {
        for component in Component::ALL {
            assert!(sample.find(component, number, new_year()).is_some(), "{} of {number}", component.word());
        }
    }
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/tariffs/README.md")).unwrap();
    for column in COLUMNS.into_iter().chain([SPLIT_COLUMN]) {
        assert!(readme.contains(&format!("| `{column}` |")), "the README does not explain {column}");
    }
}

#[test]
fn columns_in_any_order_a_byte_order_mark_and_windows_line_ends_are_let_in() {
    let file = "\u{feff}prefix,component,valid_to,valid_from,vat_percent,rounding_unit,free_seconds,next_increment,first_increment,price_per_minute,connect_fee,description\r\n\
                +386,call,2026-12-31T23:00:00Z,2026-02-01,9.5,0.01,5,30,60,0.03,0.10,\"Slovenia, \"\"fixed\"\"\"\r\n";
    let version = import(file.as_bytes()).unwrap();
    let [rate] = version.rates() else { panic!("{:?}", version.rates()) };
    assert_eq!(rate.description, "Slovenia, \"fixed\"");
    assert_eq!((rate.first_increment, rate.next_increment, rate.free_seconds), (60, 30, 5));
    assert_eq!((rate.connect_fee.0, rate.price_per_minute.0, rate.rounding_unit.0, rate.vat_percent.0), (1_000, 300, 100, 950));
    assert_eq!(rate.valid_from, "2026-01-31T23:00:00Z".parse().unwrap());
    assert_eq!(rate.valid_to, Some("2026-12-31T23:00:00Z".parse().unwrap()));
    assert_eq!((version.number(), version.valid_from()), (3, new_year()));
}

#[test]
fn a_wrong_value_is_refused_with_line_column_and_reason() {
    let prefix_help = "not a prefix: write + and at most 15 digits beginning with the country code (+386, + for the world), or 1 to 8 digits of a short number without a leading 0";
    let decimal = "not a decimal number such as 0.05 (a point, no spaces, no currency sign)";
    for (row, error) in [
        ("talk,+43,x,0,0.1,1,1,0,0.0001,22,,", "component: \"talk\": neither call nor conference".to_owned()),
        ("call,0043,x,0,0.1,1,1,0,0.0001,22,,", format!("prefix: \"0043\": {prefix_help}")),
        ("call,+43 1,x,0,0.1,1,1,0,0.0001,22,,", format!("prefix: \"+43 1\": {prefix_help}")),
        ("call,,x,0,0.1,1,1,0,0.0001,22,,", "prefix: \"\": empty".to_owned()),
        ("call,+43,x,-0.01,0.1,1,1,0,0.0001,22,,", "connect_fee: -0.01 is negative".to_owned()),
        ("call,+43,x,0,-0.1,1,1,0,0.0001,22,,", "price_per_minute: -0.10 is negative".to_owned()),
        ("call,+43,x,0,0.00001,1,1,0,0.0001,22,,", "price_per_minute: \"0.00001\": more than 4 decimals".to_owned()),
        ("call,+43,x,0,1000000.0001,1,1,0,0.0001,22,,", "price_per_minute: 1000000.0001 is above the limit 1000000.00".to_owned()),
        ("call,+43,x,0,1e3,1,1,0,0.0001,22,,", format!("price_per_minute: \"1e3\": {decimal}")),
        ("call,+43,x,0,€1,1,1,0,0.0001,22,,", format!("price_per_minute: \"€1\": {decimal}")),
        ("call,+43,x,0,,1,1,0,0.0001,22,,", "price_per_minute: \"\": empty".to_owned()),
        ("call,+43,x,0,0.1,0,1,0,0.0001,22,,", "first_increment: 0 is not a positive number of seconds".to_owned()),
        ("call,+43,x,0,0.1,1,-60,0,0.0001,22,,", "next_increment: -60 is not a positive number of seconds".to_owned()),
        ("call,+43,x,0,0.1,1,60/60,0,0.0001,22,,", "next_increment: \"60/60\": not a whole number of seconds".to_owned()),
        ("call,+43,x,0,0.1,1,1,-1,0.0001,22,,", "free_seconds: -1 is negative".to_owned()),
        ("call,+43,x,0,0.1,1,1,99999999,0.0001,22,,", "free_seconds: 99999999 is above the limit 2678400 seconds".to_owned()),
        ("call,+43,x,0,0.1,1,1,0,0,22,,", "rounding_unit: 0.00 is not positive".to_owned()),
        ("call,+43,x,0,0.1,1,1,0,1000,22,,", "rounding_unit: 1000.00 is above the limit 100.00".to_owned()),
        ("call,+43,x,0,0.1,1,1,0,0.0001,100.01,,", "vat_percent: 100.01 is above 100".to_owned()),
        ("call,+43,x,0,0.1,1,1,0,0.0001,22%,,", format!("vat_percent: \"22%\": {decimal}")),
        (
            "call,+43,x,0,0.1,1,1,0,0.0001,22,1.1.2026,",
            "valid_from: \"1.1.2026\": neither a date such as 2026-01-31 nor a moment such as 2026-01-31T12:00:00+01:00".to_owned(),
        ),
        (
            "call,+43,x,0,0.1,1,1,0,0.0001,22,2026-02-30,",
            "valid_from: \"2026-02-30\": neither a date such as 2026-01-31 nor a moment such as 2026-01-31T12:00:00+01:00".to_owned(),
        ),
        ("call,+43,x,0,0.1,1,1,0,0.0001,22,2026-03-01,2026-03-01", "valid_to: not after valid_from".to_owned()),
        ("call,+43,x\u{7},0,0.1,1,1,0,0.0001,22,,", "description: holds a control character".to_owned()),
    ] {
        assert_eq!(refused_rows(&format!("{row}\n")), [format!("line 3, column {error}")], "{row}");
    }
}

#[test]
fn the_column_of_cuts_may_be_there() {
    let header = HEADER.replace('\n', ",split\n");
    let row = |prefix: &str, split: &str| format!("call,{prefix},x,0,0.1,1,1,0,0.0001,22,,,{split}\n");
    let file = header.clone() + &row("+1", "") + &row("+2", "none") + &row("+3", "midnight") + &row("+4", "tariff_change") + &row("+5", "both");
    let splits: Vec<Split> = import(file.as_bytes()).unwrap().rates().iter().map(|rate| rate.split).collect();
    assert_eq!(splits, [Split::None, Split::None, Split::Midnight, Split::TariffChange, Split::Both]);
    let wrong = refused((header + &row("+1", "noon")).as_bytes());
    assert_eq!(wrong, ["line 2, column split: \"noon\": neither none nor midnight nor tariff_change nor both"]);
}

#[test]
fn every_error_of_a_row_is_told_at_once() {
    assert_eq!(refused_rows("talk,abc,x,0,-1,0,1,0,0.0001,22,,\n").len(), 2, "what cannot be read hides what can only be weighed when all is read");
    assert_eq!(refused_rows("call,+43,x,-1,-1,0,1,-5,0.0001,22,,\n").len(), 4);
}

#[test]
fn a_wrong_shape_is_refused() {
    assert_eq!(
        refused(b""),
        [
            "line 1: the file is empty; its first line must be component,prefix,description,connect_fee,price_per_minute,first_increment,next_increment,free_seconds,rounding_unit,vat_percent,valid_from,valid_to"
        ]
    );
    assert_eq!(refused(HEADER.as_bytes()), ["line 2: there is no row below the header"]);
    assert_eq!(refused_rows("call,+43,x,0,0.1\n"), ["line 3: 5 fields, but the header has 12"]);
    assert_eq!(refused_rows("call,+43,x,0,0,1,1,1,0,0.0001,22,,\n"), ["line 3: 13 fields, but the header has 12"]);
    // Empty lines are passed over, and counted.
    assert_eq!(refused_rows("\n\r\n\ncall,+43\n"), ["line 6: 2 fields, but the header has 12"]);
    // A quoted value may go over lines; the line told is that on which the row begins.
    assert_eq!(refused_rows("call,+43,\"x\ny\",0,0.1,1,1,0,0.0001,22,,\n"), ["line 3, column description: holds a control character"]);
    let mut bytes = format!("{HEADER}{GOOD}call,+43,").into_bytes();
    bytes.extend_from_slice(b"\xff\xfe,0,0.1,1,1,0,0.0001,22,,\n");
    assert_eq!(refused(&bytes), ["line 3, column description: \"��\": not UTF-8"]);
}

#[test]
fn a_wrong_header_is_refused() {
    let with = |from: &str, to: &str| refused(format!("{}{GOOD}", HEADER.replace(from, to)).as_bytes());
    assert_eq!(with(",connect_fee", ""), ["line 1, column connect_fee: the column is missing"]);
    assert_eq!(
        with("connect_fee", "prefix"),
        ["line 1, column prefix: the column is there twice", "line 1, column connect_fee: the column is missing"]
    );
    let all = format!("{},{SPLIT_COLUMN}", COLUMNS.join(","));
    assert_eq!(
        with("connect_fee", "ConnectFee"),
        [format!("line 1, column ConnectFee: unknown column; the columns are {all}"), "line 1, column connect_fee: the column is missing".to_owned()]
    );
    let semicolons = with(",", ";");
    assert!(semicolons[0].ends_with("columns must be separated by commas, not semicolons"), "{semicolons:?}");
    assert_eq!(with("component,", "component, ")[0], format!("line 1, column  prefix: unknown column; the columns are {all}"));
}

#[test]
fn gaps_and_overlaps_in_validity_are_refused() {
    let row = |from: &str, to: &str| format!("call,+43,x,0,0.1,1,1,0,0.0001,22,{from},{to}\n");
    let both = |a: (&str, &str), b: (&str, &str)| refused_rows(&format!("{}{}", row(a.0, a.1), row(b.0, b.1)));
    assert_eq!(
        both(("2026-01-01", "2026-03-01"), ("2026-03-02", "")),
        ["line 4, column valid_from: gap in the validity of call +43: nothing is valid from 2026-02-28T23:00:00Z to 2026-03-01T23:00:00Z"]
    );
    for (a, b) in [(("2026-01-01", "2026-03-01"), ("2026-02-28", "")), (("2026-01-01", ""), ("2026-02-28", "")), (("", ""), ("", ""))] {
        let errors = both(a, b);
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].starts_with("line 4, column valid_from: overlap in the validity of call +43"), "{errors:?}");
    }
    // Rows may stand in any order; the same prefix of the other component is another matter.
    let later_first = format!("{HEADER}{}{}{}", row("2026-03-01", ""), row("", "2026-03-01"), row("", "").replace("call", "conference"));
    assert_eq!(import(later_first.as_bytes()).unwrap().rates().len(), 3);
}

#[test]
fn one_bad_row_among_a_hundred_thousand_refuses_the_file() {
    let mut file = HEADER.to_owned();
    for prefix in 0..100_000 {
        let price = if prefix == 77_776 { "-0.03" } else { "0.03" };
        file.push_str(&format!("call,+386{prefix:05},Block {prefix},0,{price},60,30,0,0.0001,22,,\n"));
    }
    assert_eq!(refused(file.as_bytes()), ["line 77778, column price_per_minute: -0.03 is negative"]);
    let all_bad = file.replace(",0.03,", ",free,");
    let errors = refused(all_bad.as_bytes());
    assert_eq!(errors.len(), MAX_REPORTED + 1);
    assert_eq!(errors[MAX_REPORTED], "and 99980 more");
}

#[test]
fn a_new_version_takes_over_from_its_first_moment() {
    let version = |number, from: &str, price: &str| -> TariffVersion {
        let old = tariff(&format!("call,+,World,0,{price},1,1,0,0.0001,22,2020-01-01,\n"));
        TariffVersion::new(number, from.parse().unwrap(), old.versions()[0].rates().to_vec()).unwrap()
    };
    let tariff = Tariff::new(
        "base".into(),
        vec![version(3, "2026-07-01T00:00:00Z", "0.30"), version(1, "2026-01-01T00:00:00Z", "0.10"), version(2, "2026-07-01T00:00:00Z", "0.20")],
    );
    let at = |moment: &str| tariff.find(Component::Call, "+38615550211", moment.parse().unwrap()).map(|(version, _)| version.number());
    assert_eq!(at("2025-12-31T23:59:59Z"), None);
    assert_eq!(at("2026-01-01T00:00:00Z"), Some(1));
    assert_eq!(at("2026-06-30T23:59:59.999Z"), Some(1));
    // Of two that begin at the same moment the higher number is in force.
    assert_eq!(at("2026-07-01T00:00:00Z"), Some(3));
}
