import Testing

@testable import JSONTree

@Suite("JSON text is read exactly") struct ParsingTests {
    @Test(
        "every kind of value is read",
        arguments: [
            ("null", .null), ("true", true), (" false\n", false), ("0", 0), ("-1", -1), ("\"\"", ""), ("[]", []),
            ("{}", [:]), ("[1,[2,{}],\"x\"]", [1, [2, [:]], "x"]), ("{\"a\":{\"b\":[null]}}", ["a": ["b": [.null]]]),
            ("9223372036854775807", .integer(.max)), ("-9223372036854775808", .integer(.min)),
            ("9223372036854775808", .number("9223372036854775808")), ("-0", .number("-0")), ("1.0", .number("1.0")),
            ("1e3", .number("1e3")), ("-12.50E-07", .number("-12.50E-07")),
            ("123456789012345678901234567890", .number("123456789012345678901234567890")),
            ("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\u{8}\u{C}\n\r\t"), ("\"\\u00e9\\uD83D\\ude00x\"", "é😀x"),
            ("\"é😀\"", "é😀"), ("\"a\\u0000b\"", "a\0b"), ("\"é\\n\"", "é\n"),
        ] as [(String, JSONValue)])
    func reads(text: String, value: JSONValue) throws {
        #expect(try JSONValue.parse(text) == value)
    }

    @Test(
        "what is no JSON is refused with its place",
        arguments: [
            ("", 1, 1, "expected a value, but the text ends"), ("nul", 1, 1, "expected a value, found \"n\""),
            ("[1,]", 1, 4, "expected a value, found \"]\""),
            ("{\"a\":1,}", 1, 8, "expected a key in quotes, found \"}\""),
            ("{\n \"a\" 1}", 2, 6, "expected \":\", found \"1\""),
            ("[1 2]", 1, 4, "expected \",\" or \"]\", found \"2\""),
            ("{\"a\":1", 1, 7, "expected \",\" or \"}\", but the text ends"),
            ("{a:1}", 1, 2, "expected a key in quotes, found \"a\""),
            ("1 2", 1, 3, "expected the end, found \"2\""), ("01", 1, 1, "a number must not start with 0"),
            ("-", 1, 2, "expected a digit, but the text ends"), ("1.", 1, 3, "expected a digit, but the text ends"),
            ("1e+", 1, 4, "expected a digit, but the text ends"), (".5", 1, 1, "expected a value, found \".\""),
            ("+1", 1, 1, "expected a value, found \"+\""), ("NaN", 1, 1, "expected a value, found \"N\""),
            ("\"a", 1, 1, "unterminated string"), ("\"a\\", 1, 3, "unterminated string"),
            ("\"\\x\"", 1, 2, "unknown escape in a string"),
            ("\"\\n", 1, 1, "unterminated string"), ("\"\\u12g4\"", 1, 2, "\\u needs four hexadecimal digits"),
            ("\"\\ud800\"", 1, 2, "lone surrogate in a \\u escape"),
            ("\"\\ud800\\u0041\"", 1, 2, "lone surrogate in a \\u escape"),
            ("\"\\udc00\"", 1, 2, "lone surrogate in a \\u escape"),
            ("\"a\nb\"", 1, 3, "control character in a string: it must be escaped"),
            ("\"\\ta\tb\"", 1, 5, "control character in a string: it must be escaped"),
            ("{\"a\":1,\n  \"b\":2,\n  \"a\":3}", 3, 3, "duplicate key \"a\""),
            ("{\"a\":1,\"\\u0061\":2}", 1, 8, "duplicate key \"a\""),
            ("\u{1}", 1, 1, "expected a value, found the byte 0x1"),
        ])
    func refuses(text: String, line: Int, column: Int, message: String) {
        #expect(throws: JSONError.self) { try JSONValue.parse(text) }
        do throws(JSONError) {
            _ = try JSONValue.parse(text)
        } catch {
            #expect(error.message == message)
            #expect(error.line == line)
            #expect(error.column == column)
        }
    }

    @Test(
        "invalid UTF-8 is refused where it starts",
        arguments: [
            ([0x61, 0xFF], 2), ([0xC0, 0x80], 1), ([0xED, 0xA0, 0x80], 1), ([0xC3], 1), ([0xC3, 0xA9, 0x80], 3),
            ([0xF4, 0x90, 0x80, 0x80], 1), ([0x5C, 0x6E, 0xFE], nil),
        ] as [([UInt8], Int?)])
    func refusesInvalidUTF8(content: [UInt8], offset: Int?) {
        do throws(JSONError) {
            _ = try JSONValue.parse([0x22] + content + [0x22])
            Issue.record("accepted")
        } catch {
            #expect(error.message == "invalid UTF-8")
            if let offset { #expect(error.offset == offset) }
        }
    }

    @Test("keys are the bytes they are: canonically equivalent ones are two keys")
    func keysAreBytes() throws {
        let object = try #require(try JSONValue.parse("{\"\u{E9}\":1,\"e\u{301}\":2}").objectValue)
        #expect(object["\u{E9}"] == 1)
        #expect(object["e\u{301}"] == 2)
        #expect(JSONValue.string("\u{E9}") != JSONValue.string("e\u{301}"))
    }

    @Test("a duplicate is found in a large object too")
    func duplicateAmongMany() {
        let members = (0..<1000).map { "\"k\($0)\":\($0)" }
        #expect(throws: Never.self) { try JSONValue.parse("{" + members.joined(separator: ",") + "}") }
        #expect(throws: JSONError.self) { try JSONValue.parse("{" + members.joined(separator: ",") + ",\"k500\":0}") }
    }

    @Test("nesting is read up to the bound and refused beyond it")
    func depth() throws {
        func nested(_ depth: Int, _ open: String, _ close: String) -> String {
            String(repeating: open, count: depth) + "1" + String(repeating: close, count: depth)
        }
        let deepest = nested(JSONValue.maximumDepth, "[", "]")
        #expect(try JSONValue.parse(deepest).text() == deepest)
        #expect(throws: JSONError.self) { try JSONValue.parse(nested(JSONValue.maximumDepth + 1, "[", "]")) }
        #expect(throws: JSONError.self) { try JSONValue.parse(nested(100_000, "{\"a\":", "}")) }
    }

    @Test("no mutation of a document crashes, and what is still read survives a round trip")
    func mutations() throws {
        let seed = Array(
            #"{"a":[1,-2.5e3,"x\u00e9\ud83d\ude00",true,null],"b":{"c":"\n\"é","d":{},"e":[]},"n":123456789012}"#.utf8)
        var random = SystemRandomNumberGenerator()
        var accepted = 0
        for _ in 0..<20_000 {
            var bytes = seed
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let index = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes[index] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.remove(at: index)
                default: bytes.insert(bytes[Int.random(in: 0..<bytes.count, using: &random)], at: index)
                }
            }
            guard let value = try? JSONValue.parse(bytes) else { continue }
            accepted += 1
            #expect(try JSONValue.parse(value.encoded()) == value)
            #expect(try JSONValue.parse(value.encoded(pretty: true)) == value)
        }
        #expect(accepted > 0)
    }
}

@Suite("JSON values are written and looked into") struct ValueTests {
    @Test("members keep their order and numbers their spelling through a round trip")
    func roundTrip() throws {
        let text = #"{"z":1,"a":1.50,"m":[{"y":-0,"b":1E5}],"big":18446744073709551616,"s":"é/\"\\\n\u0001"}"#
        #expect(try JSONValue.parse(text).text() == text)
    }

    @Test("pretty text is indented by two spaces, empty lists and objects stay on a line")
    func pretty() {
        let value: JSONValue = ["a": [1, ["b": .null]], "c": [], "d": [:]]
        #expect(
            value.text(pretty: true) == """
                {
                  "a": [
                    1,
                    {
                      "b": null
                    }
                  ],
                  "c": [],
                  "d": {}
                }
                """)
    }

    @Test("objects are equal in whatever order, and hash alike")
    func equality() {
        let one: JSONValue = ["a": 1, "b": ["c": 2, "d": 3]]
        let other: JSONValue = ["b": ["d": 3, "c": 2], "a": 1]
        #expect(one == other)
        #expect(one.hashValue == other.hashValue)
        #expect(one != ["a": 1, "b": ["c": 2, "d": 4]])
        #expect(one != ["a": 1])
        #expect(JSONValue.integer(1) != .number("1.0"))
        #expect(JSONValue.null != false)
    }

    @Test("subscripts read and change in place")
    func subscripts() {
        var value: JSONValue = ["a": ["b": [10, 20]]]
        #expect(value["a"]?["b"]?[1]?.integerValue == 20)
        #expect(value["a"]?["b"]?[2] == nil)
        #expect(value["x"]?["b"] == nil)
        #expect(value[0] == nil)
        value["a"]?["c"] = "new"
        value["z"] = .null
        #expect(value.text() == #"{"a":{"b":[10,20],"c":"new"},"z":null}"#)
        value["a"] = nil
        #expect(value.objectValue?.keys == ["z"])
        var fresh = JSONValue.null
        fresh["k"] = 1
        #expect(fresh == ["k": 1])
    }

    @Test("accessors give the value of their kind only")
    func accessors() {
        #expect(JSONValue.string("x").stringValue == "x")
        #expect(JSONValue.string("1").integerValue == nil)
        #expect(JSONValue.integer(5).doubleValue == 5)
        #expect(JSONValue.number("2.5").doubleValue == 2.5)
        #expect(JSONValue.number("1e999").doubleValue == nil)
        #expect(JSONValue.bool(true).boolValue == true)
        #expect(JSONValue.null.isNull)
        #expect(JSONValue(UInt64.max) == .number("18446744073709551615"))
        #expect(JSONValue(2.5) == .number("2.5"))
        #expect(JSONValue(Double.infinity) == .null)
    }

    @Test("an object is the collection of its members")
    func collection() {
        let object: JSONObject = ["a": 1, "b": 2]
        var seen: [String] = []
        for (key, value) in object.members { seen.append("\(key)=\(value)") }
        #expect(seen == ["a=1", "b=2"])
        #expect(object.count == 2)
        #expect(!object.isEmpty)
        #expect(JSONObject([("k", 1), ("k", 2)]) == ["k": 2])
    }
}

@Suite("Places in a tree") struct PathTests {
    private let text = Array(
        #"""
        {
          "a": [1, "x]}\"", {"b": true,
            "c\u0061": -1.5e3 }
          ],

          "d" : { "e": null },
          "f": []
        }
        """#.utf8)

    @Test(
        "lines are found where the text has them, or where it ends",
        arguments: [
            ([], 1), ([.field("a")], 2), ([.field("a"), .index(1)], 2), ([.field("a"), .index(2), .field("b")], 2),
            ([.field("a"), .index(2), .key("ca")], 3), ([.field("a"), .index(3)], 2), ([.field("d"), .field("e")], 6),
            ([.field("d"), .field("x"), .field("y")], 6), ([.field("f"), .index(0)], 7), ([.index(0)], 1),
            ([.field("z")], 1),
            ([.field("d"), .index(0)], 6),
        ] as [([JSONPath.Step], Int)])
    func lines(steps: [JSONPath.Step], line: Int) {
        #expect(JSONPath(steps).line(in: text) == line)
    }

    @Test("paths are written as Kubernetes writes them")
    func description() {
        let path = JSONPath().field("spec").field("containers").index(0).field("limits").key("cpu")
        #expect(path.description == "spec.containers[0].limits[cpu]")
        #expect(JSONPath().description == "")
        #expect(JSONPath([.field("spec")]).contains(path))
        #expect(!path.contains(JSONPath([.field("spec")])))
    }

    @Test("errors are worded as Kubernetes words them")
    func errors() {
        let path = JSONPath([.field("a")])
        #expect(FieldError.required(path).description == "a: Required value")
        #expect(FieldError.required(path, "why").description == "a: Required value: why")
        #expect(FieldError.invalid(path, 5, "why").description == "a: Invalid value: 5: why")
        #expect(FieldError.duplicate(path, "x").description == #"a: Duplicate value: "x""#)
        #expect(
            FieldError.unsupported(path, "x", supported: ["b", "a"]).description
                == #"a: Unsupported value: "x": supported values: "a", "b""#)
        #expect(FieldError.notFound(path, "x").description == #"a: Not found: "x""#)
        #expect(FieldError.forbidden(path, "why").description == "a: Forbidden: why")
        #expect(FieldError.tooLong(JSONPath(), maximum: 5).description == "Too long: may not be more than 5 bytes")
        #expect(FieldError.type(path, expected: "a list", got: .null).description == "a: expected a list, got null")
        #expect(FieldError.required(path).reason.rawValue == "FieldValueRequired")
    }
}

@Suite("Duplicate keys") struct DuplicateKeyTests {
    @Test("the last value counts, in the place of the first, and every place is told once")
    func duplicates() throws {
        let text = #"{"a":1,"b":[{"c":1,"c":2,"c":[]}],"a":{"d":1,"d":2}}"#
        let (value, duplicates) = try JSONValue.parseAllowingDuplicates(Array(text.utf8))
        #expect(value.text() == #"{"a":{"d":2},"b":[{"c":[]}]}"#)
        #expect(duplicates.map(\.path.description) == ["b[0].c", "a", "a.d"])
        #expect(duplicates.map(\.offset) == [19, 34, 45])
    }

    @Test("whatever else is wrong still throws")
    func wrong() {
        #expect(throws: JSONError.self) { try JSONValue.parseAllowingDuplicates(Array(#"{"a":1,"a":}"#.utf8)) }
    }

    @Test("many duplicates cost linear time, and are told in part")
    func many() throws {
        let members = (0..<20_000).map { "\"k\($0)\":0" }.joined(separator: ",")
        let (value, duplicates) = try JSONValue.parseAllowingDuplicates(Array("{\(members),\(members)}".utf8))
        #expect(value.objectValue?.count == 20_000)
        #expect(duplicates.count == 1000)
    }
}

@Suite("Objects made member by member") struct JSONObjectBuilderTests {
    @Test("members keep their place, few or many", arguments: [3, 23, 24, 25, 100])
    func places(count: Int) {
        var builder = JSONObjectBuilder()
        for index in 0..<count { builder["k\(index)"] = .integer(Int64(index)) }
        builder["k1"] = "changed"
        builder["k0"] = nil
        #expect(builder["k0"] == nil && builder["k1"] == "changed" && builder["other"] == nil)
        let taken = builder.take("k2")
        #expect(taken == 2 && builder["k2"] == nil)
        builder["k2"] = taken
        builder["k0"] = "back"
        let object = builder.object
        #expect(object.keys == (0..<count).map { "k\($0)" })
        #expect(object["k0"] == "back" && object["k2"] == 2)
        var again = JSONObjectBuilder(object)
        again["new"] = true
        #expect(again.object.keys == object.keys + ["new"])
    }
}
