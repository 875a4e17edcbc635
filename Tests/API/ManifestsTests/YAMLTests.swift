import JSONTree
import Testing

@testable import Manifests

/// The tree of the first document.
private func tree(_ yaml: String) throws -> JSONValue {
    let root = try #require(try YAMLParser.documents(Array(yaml.utf8)).first)
    let (tree, errors) = YAMLConversion.tree(of: root)
    #expect(errors == [])
    return tree
}

private func faults(_ yaml: String) throws -> [String] {
    try YAMLParser.documents(Array(yaml.utf8)).flatMap { YAMLConversion.tree(of: $0).errors.map(\.description) }
}

@Suite("YAML is read as Kubernetes reads it") struct YAMLTests {
    @Test(
        "plain scalars",
        arguments: [
            ("", .null), ("~", .null), ("null", .null), ("Null", .null), ("nUll", "nUll"), ("true", true),
            ("True", true), ("yes", true),
            ("on", true), ("y", true), ("Y", true), ("no", false), ("OFF", false), ("n", false), ("yEs", "yEs"),
            ("0", 0), ("-5", -5), ("+7", 7),
            ("0644", 420), ("0o644", 420), ("0x1F", 31), ("-0x10", -16), ("0b101", 5), ("1_000", 1000), ("08", 8),
            ("1.5", .number("1.5")),
            ("-2.50", .number("-2.50")), ("1.0", 1), (".5", .number("0.5")), ("5.", 5), ("1e3", 1000),
            ("1e-2", .number("1e-2")),
            ("9223372036854775807", .integer(.max)), ("18446744073709551615", .number("18446744073709551615")),
            ("123456789012345678901234567890", .number("123456789012345678901234567890")), ("1.2.3", "1.2.3"),
            ("10.0.0.1", "10.0.0.1"),
            ("1:30", "1:30"), ("2026-11-21", "2026-11-21"), ("100m", "100m"), ("64Mi", "64Mi"), ("0x", "0x"),
            ("-", "-"), ("+", "+"), (".", "."),
            ("a b", "a b"), ("1e", "1e"), ("--1", "--1"), ("=", "="), ("0xZZ", "0xZZ"),
            ("-0x8000000000000001", "-0x8000000000000001"),
        ] as [(String, JSONValue)])
    func scalars(text: String, value: JSONValue) {
        #expect(YAMLResolver.resolve(text) == value)
    }

    @Test("what JSON has no number for is refused", arguments: [".inf", "-.Inf", "+.INF", ".nan", ".NaN"])
    func notFinite(text: String) throws {
        #expect(YAMLResolver.resolve(text) == nil)
        #expect(try faults("a: \(text)") == ["a: \(text) is no number that JSON has"])
    }

    @Test("quotes and block scalars make strings")
    func quoted() throws {
        #expect(
            try tree("a: \"1\"\nb: 'yes'\nc: |\n  2\nd: >-\n  x\n  y") == [
                "a": "1", "b": "yes", "c": "2\n", "d": "x y",
            ])
    }

    @Test("tags decide, and are refused where they do not fit")
    func tags() throws {
        #expect(
            try tree("a: !!str 1\nb: !!int \"5\"\nc: !!float 2\nd: ! 3\ne: !!map {}\nf: !!seq []") == [
                "a": "1", "b": 5, "c": 2, "d": "3", "e": [:], "f": [],
            ])
        #expect(try faults("a: !!int x") == [#"a: "x" cannot be read with the tag tag:yaml.org,2002:int"#])
        #expect(try faults("a: !secret x") == [#"a: "x" cannot be read with the tag !secret"#])
        #expect(try faults("a: !foo {}") == ["a: the tag !foo is not supported"])
    }

    @Test("keys become strings")
    func keys() throws {
        #expect(try tree("1: a\nyes: b\n1.5: c\n\"2\": d") == ["1": "a", "true": "b", "1.5": "c", "2": "d"])
        #expect(try faults("? [a]\n: b") == ["a key must be a string, at line 1"])
        #expect(try faults("a:\n  ~: b") == ["a: a key must be a string, at line 2"])
    }

    @Test("anchors, aliases and merged mappings")
    func anchors() throws {
        #expect(try tree("a: &x [1]\nb: *x") == ["a": [1], "b": [1]])
        #expect(try tree("a: &x {k: 1, l: 2}\nb: {<<: *x, k: 3}") == ["a": ["k": 1, "l": 2], "b": ["k": 3, "l": 2]])
        #expect(try tree("a: &x {k: 1}\nb: &y {k: 2, m: 5}\nc: {<<: [*x, *y]}")["c"] == ["k": 1, "m": 5])
        #expect(try faults("a: {<<: 5}") == ["a: << needs a mapping or a list of mappings, at line 1"])
        #expect(throws: YAMLError.self) { try YAMLParser.documents(Array("a: *x".utf8)) }
        #expect(throws: YAMLError.self) { try YAMLParser.documents(Array("a: &x [*x]".utf8)) }
    }

    @Test("duplicate keys are refused with both lines")
    func duplicates() throws {
        #expect(try faults("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n") == [#"b.c: duplicate key "c", first at line 3"#])
        #expect(try faults("1: a\n\"1\": b") == [#"1: duplicate key "1", first at line 1"#])
    }

    @Test("a few lines cannot become billions of values")
    func bombs() throws {
        var bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
        for level in 1...12 {
            bomb += "a\(level): &a\(level) [\(Array(repeating: "*a\(level - 1)", count: 9).joined(separator: ","))]\n"
        }
        #expect(try faults(bomb) == ["the document grows beyond 100000 values or 128 levels"])
        // As a key, and through merges.
        #expect(try faults(bomb + "? *a12\n: x").count == 1)
        var merges = "a0: &a0 {k: v}\n"
        for level in 1...20 { merges += "a\(level): &a\(level) {<<: [*a\(level - 1), *a\(level - 1)]}\n" }
        #expect(try faults(merges).contains("the document grows beyond 100000 values or 128 levels"))
    }

    @Test("nesting is bounded, whether written or by aliases")
    func depth() throws {
        let deep = String(repeating: "[", count: 500_000)
        #expect(throws: YAMLError.self) { try YAMLParser.documents(Array(deep.utf8)) }
        var chain = "a0: &a0 [x]\n"
        for level in 1...200 { chain += "a\(level): &a\(level) [*a\(level - 1)]\n" }
        #expect(try faults(chain) == ["the document grows beyond 100000 values or 128 levels"])
    }

    @Test("documents are told apart, empty ones left out")
    func documents() throws {
        #expect(try YAMLParser.documents(Array("".utf8)).count == 0)
        #expect(try YAMLParser.documents(Array("# nothing\n---\n---\na: 1\n---\n~\n...\n---\nb: 2\n".utf8)).count == 3)
    }

    @Test(
        "text that is no YAML is refused with its line",
        arguments: [
            ("a: [1\nb: 2", 2), ("a:\n\tb: 1", 2), ("a: 1\n b: 2", 2), ("a: \"x", 1), ("a: b: c", 1),
            ("%FOO\n---\na", 1), ("a: @x", 1),
        ])
    func syntax(text: String, line: Int) {
        do throws(YAMLError) {
            _ = try YAMLParser.documents(Array(text.utf8))
            if !text.hasPrefix("%") { Issue.record("accepted \(text)") }
        } catch {
            #expect(error.line == line)
            #expect(!error.message.isEmpty)
        }
    }

    @Test("invalid UTF-8 is refused with its line")
    func invalidUTF8() {
        do throws(YAMLError) {
            _ = try YAMLParser.documents(Array("a: 1\nb: ".utf8) + [0xFF] + Array("\n".utf8))
            Issue.record("accepted")
        } catch {
            #expect(error.line == 2)
        }
    }
}
