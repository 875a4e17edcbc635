import JSONTree
import Testing

@testable import Schema

private func patched(_ document: String, _ patch: String) throws -> JSONValue {
    try JSONPatch(try JSONValue.parse(patch)).apply(to: try JSONValue.parse(document))
}

private func failure(_ document: String, _ patch: String) -> PatchError? {
    #expect(throws: PatchError.self) { try patched(document, patch) }
}

@Suite("JSON Patch") struct JSONPatchTests {
    @Test(
        "the examples of RFC 6902, appendix A",
        arguments: [
            (
                "A.1 adding a member", #"{"foo":"bar"}"#, #"[{"op":"add","path":"/baz","value":"qux"}]"#,
                #"{"foo":"bar","baz":"qux"}"#
            ),
            (
                "A.2 adding an element", #"{"foo":["bar","baz"]}"#, #"[{"op":"add","path":"/foo/1","value":"qux"}]"#,
                #"{"foo":["bar","qux","baz"]}"#
            ),
            (
                "A.3 removing a member", #"{"baz":"qux","foo":"bar"}"#, #"[{"op":"remove","path":"/baz"}]"#,
                #"{"foo":"bar"}"#
            ),
            (
                "A.4 removing an element", #"{"foo":["bar","qux","baz"]}"#, #"[{"op":"remove","path":"/foo/1"}]"#,
                #"{"foo":["bar","baz"]}"#
            ),
            (
                "A.5 replacing", #"{"baz":"qux","foo":"bar"}"#, #"[{"op":"replace","path":"/baz","value":"boo"}]"#,
                #"{"baz":"boo","foo":"bar"}"#
            ),
            (
                "A.6 moving a member", #"{"foo":{"bar":"baz","waldo":"fred"},"qux":{"corge":"grault"}}"#,
                #"[{"op":"move","from":"/foo/waldo","path":"/qux/thud"}]"#,
                #"{"foo":{"bar":"baz"},"qux":{"corge":"grault","thud":"fred"}}"#
            ),
            (
                "A.7 moving an element", #"{"foo":["all","grass","cows","eat"]}"#,
                #"[{"op":"move","from":"/foo/1","path":"/foo/3"}]"#, #"{"foo":["all","cows","eat","grass"]}"#
            ),
            (
                "A.8 testing", #"{"baz":"qux","foo":["a",2,"c"]}"#,
                #"[{"op":"test","path":"/baz","value":"qux"},{"op":"test","path":"/foo/1","value":2}]"#,
                #"{"baz":"qux","foo":["a",2,"c"]}"#
            ),
            (
                "A.10 adding a nested object", #"{"foo":"bar"}"#,
                #"[{"op":"add","path":"/child","value":{"grandchild":{}}}]"#,
                #"{"foo":"bar","child":{"grandchild":{}}}"#
            ),
            (
                "A.11 ignoring unknown members", #"{"foo":"bar"}"#,
                #"[{"op":"add","path":"/baz","value":"qux","xyz":123}]"#, #"{"foo":"bar","baz":"qux"}"#
            ),
            (
                "A.14 escapes", #"{"/":9,"~1":10}"#, #"[{"op":"test","path":"/~01","value":10}]"#,
                #"{"/":9,"~1":10}"#
            ),
            (
                "A.16 adding a list", #"{"foo":["bar"]}"#, #"[{"op":"add","path":"/foo/-","value":["abc","def"]}]"#,
                #"{"foo":["bar",["abc","def"]]}"#
            ),
        ])
    func appendix(name: String, document: String, patch: String, expected: String) throws {
        #expect(try patched(document, patch).text() == expected)
    }

    @Test("the failing examples of RFC 6902, appendix A, in the API server's words")
    func appendixFailures() {
        #expect(
            failure(#"{"baz":"qux"}"#, #"[{"op":"test","path":"/baz","value":"bar"}]"#)
                == PatchError(.unprocessable, "testing value /baz failed: test failed"))
        #expect(
            failure(#"{"foo":"bar"}"#, #"[{"op":"add","path":"/baz/bat","value":"qux"}]"#)
                == PatchError(
                    .unprocessable, #"add operation does not apply: doc is missing path: "/baz/bat": missing value"#))
        // A.13: the key `op` twice is no JSON that we take.
        #expect(throws: JSONError.self) {
            try patched("{}", #"[{"op":"add","path":"/baz","value":"qux","op":"remove"}]"#)
        }
        #expect(
            failure(#"{"/":9,"~1":10}"#, #"[{"op":"test","path":"/~01","value":"10"}]"#)?.reason == .unprocessable)
    }

    @Test("the whole document is a place too")
    func root() throws {
        #expect(try patched(#"{"a":1}"#, #"[{"op":"replace","path":"","value":[]}]"#) == [])
        #expect(try patched(#"{"a":1}"#, #"[{"op":"add","path":"","value":2}]"#) == 2)
        #expect(
            try patched(#"{"a":{"b":1}}"#, #"[{"op":"copy","from":"","path":"/c"}]"#) == [
                "a": ["b": 1], "c": ["a": ["b": 1]],
            ])
        #expect(try patched(#"{"a":{"b":1}}"#, #"[{"op":"move","from":"/a","path":""}]"#) == ["b": 1])
        #expect(try patched("1", #"[{"op":"test","path":"","value":1.0}]"#) == 1)
    }

    @Test("numbers are tested by what they are worth, objects whatever their order")
    func equality() throws {
        let document = #"{"a":{"x":1,"y":[1e2,true]}}"#
        #expect(throws: Never.self) {
            try patched(document, #"[{"op":"test","path":"/a","value":{"y":[100,true],"x":1.0}}]"#)
        }
        #expect(failure(document, #"[{"op":"test","path":"/a","value":{"x":1}}]"#) != nil)
        #expect(throws: Never.self) { try patched("{}", #"[{"op":"test","path":"/gone","value":null}]"#) }
        #expect(
            failure("{}", #"[{"op":"test","path":"/gone","value":1}]"#)?.message
                == "testing value /gone failed: test failed")
    }

    @Test(
        "what does not apply",
        arguments: [
            (
                #"[{"op":"remove","path":"/x"}]"#,
                "error in remove for path: '/x': unable to remove nonexistent key: x: missing value"
            ),
            (
                #"[{"op":"replace","path":"/x","value":1}]"#,
                "replace operation does not apply: doc is missing key: /x: missing value"
            ),
            (
                #"[{"op":"add","path":"/l/3","value":1}]"#,
                "error in add for path: '/l/3': Unable to access invalid index: 3: invalid index referenced"
            ),
            (
                #"[{"op":"add","path":"/l/01","value":1}]"#,
                "error in add for path: '/l/01': Unable to access invalid index: 01: invalid index referenced"
            ),
            (
                #"[{"op":"remove","path":"/l/-"}]"#,
                "error in remove for path: '/l/-': strconv.Atoi: parsing \"-\": invalid syntax"
            ),
            (
                #"[{"op":"remove","path":"/l/-1"}]"#,
                "error in remove for path: '/l/-1': Unable to access invalid index: -1: invalid index referenced"
            ),
            (
                #"[{"op":"replace","path":"/l/2","value":1}]"#,
                "error in replace for path: '/l/2': Unable to access invalid index: 2: invalid index referenced"
            ),
            (
                #"[{"op":"add","path":"/l/0/x","value":1}]"#,
                #"add operation does not apply: doc is missing path: "/l/0/x": missing value"#
            ),
            (
                #"[{"op":"copy","from":"/x","path":"/y"}]"#,
                "copy operation does not apply: doc is missing from path: /x: missing value"
            ),
            (
                #"[{"op":"move","from":"/o","path":"/o/p"}]"#,
                "move operation does not apply: doc is missing destination path: /o/p: missing value"
            ),
        ])
    func failures(patch: String, message: String) {
        #expect(failure(#"{"l":[1,2],"o":{}}"#, patch) == PatchError(.unprocessable, message))
    }

    @Test(
        "what is no patch",
        arguments: [
            ("{}", "a JSON patch is a list of operations, not an object"),
            ("[1]", "an operation of a JSON patch is an object, not an integer"),
            (#"[{"op":"jump","path":""}]"#, "Unexpected kind: jump"),
            (#"[{"path":""}]"#, "Unexpected kind: unknown"),
            (#"[{"op":"add","path":"/a"}]"#, "operation missing value field: missing value"),
            (#"[{"op":"remove"}]"#, "operation missing path field: missing value"),
            (#"[{"op":"copy","path":"/a"}]"#, "operation missing from field: missing value"),
            (#"[{"op":"remove","path":"a"}]"#, #""a" is no JSON pointer (RFC 6901)"#),
            (#"[{"op":"remove","path":"/~2"}]"#, #""/~2" is no JSON pointer (RFC 6901)"#),
        ])
    func malformed(patch: String, message: String) {
        #expect(failure("{}", patch) == PatchError(.invalid, message))
    }

    @Test(
        "pointers are read and written (RFC 6901 §5)",
        arguments: ["", "/foo/0", "/", "/a~1b", "/m~0n", "/~01", "/ /\u{e9}"])
    func pointers(text: String) {
        #expect(JSONPointer(text)?.description == text)
    }

    @Test("a failing patch leaves nothing behind, an applied one leaves the original alone")
    func whole() throws {
        let original = try JSONValue.parse(#"{"a":[1,2]}"#)
        let patch = try JSONPatch([
            .add(#require(JSONPointer("/a/0")), 0), .test(#require(JSONPointer("/a/0")), 0),
        ])
        #expect(try patch.apply(to: original) == ["a": [0, 1, 2]])
        #expect(original == ["a": [1, 2]])
    }

    @Test("floods are refused")
    func bounds() throws {
        let many = [JSONValue](repeating: ["op": "remove", "path": "/a"], count: 10_001)
        let error = #expect(throws: PatchError.self) { try JSONPatch(.array(many)) }
        #expect(error == PatchError(.tooLarge, "The allowed maximum operations in a JSON patch is 10000, got 10001"))
        // Doubling thirty times would take a gigabyte.
        let double = #"{"op":"copy","from":"/a","path":"/a/-"}"#
        let doubling = "[" + [String](repeating: double, count: 30).joined(separator: ",") + "]"
        #expect(failure(#"{"a":["0123456789"]}"#, doubling)?.reason == .tooLarge)
        let nesting = (0..<600).map {
            #"{"op":"add","path":"\#(String(repeating: "/a", count: $0 + 1))","value":{}}"#
        }
        #expect(
            failure("{}", "[" + nesting.joined(separator: ",") + "]")
                == PatchError(.tooLarge, "the object would be nested deeper than 512 levels"))
    }
}

@Suite("JSON Merge Patch") struct JSONMergePatchTests {
    @Test(
        "the examples of RFC 7396, appendix A",
        arguments: [
            (#"{"a":"b"}"#, #"{"a":"c"}"#, #"{"a":"c"}"#),
            (#"{"a":"b"}"#, #"{"b":"c"}"#, #"{"a":"b","b":"c"}"#),
            (#"{"a":"b"}"#, #"{"a":null}"#, #"{}"#),
            (#"{"a":"b","b":"c"}"#, #"{"a":null}"#, #"{"b":"c"}"#),
            (#"{"a":["b"]}"#, #"{"a":"c"}"#, #"{"a":"c"}"#),
            (#"{"a":"c"}"#, #"{"a":["b"]}"#, #"{"a":["b"]}"#),
            (#"{"a":{"b":"c"}}"#, #"{"a":{"b":"d","c":null}}"#, #"{"a":{"b":"d"}}"#),
            (#"{"a":[{"b":"c"}]}"#, #"{"a":[1]}"#, #"{"a":[1]}"#),
            (#"["a","b"]"#, #"["c","d"]"#, #"["c","d"]"#),
            (#"{"a":"b"}"#, #"["c"]"#, #"["c"]"#),
            (#"{"a":"foo"}"#, #"null"#, #"null"#),
            (#"{"a":"foo"}"#, #""bar""#, #""bar""#),
            (#"{"e":null}"#, #"{"a":1}"#, #"{"e":null,"a":1}"#),
            (#"[1,2]"#, #"{"a":"b","c":null}"#, #"{"a":"b"}"#),
            (#"{}"#, #"{"a":{"bb":{"ccc":null}}}"#, #"{"a":{"bb":{}}}"#),
        ])
    func appendix(target: String, patch: String, expected: String) throws {
        #expect(
            JSONMergePatch.merge(try JSONValue.parse(patch), into: try JSONValue.parse(target)).text() == expected)
    }

    @Test("members keep their place")
    func order() throws {
        let merged = JSONMergePatch.merge(["b": ["y": 2], "d": 4], into: ["a": 1, "b": ["x": 1], "c": 3])
        #expect(merged.text() == #"{"a":1,"b":{"x":1,"y":2},"c":3,"d":4}"#)
    }

    @Test("the API server takes objects only")
    func objects() {
        let error = #expect(throws: PatchError.self) { try JSONMergePatch.apply([1], to: [:]) }
        #expect(error == PatchError(.invalid, "error decoding patch: expected an object, got a list"))
    }

    @Test("large maps merge in linear time")
    func large() {
        let old = JSONValue.object(JSONObject((0..<50_000).map { ("k\($0)", .integer(1)) }))
        let patch = JSONValue.object(JSONObject((0..<50_000).map { ("k\($0 * 2)", $0 % 2 == 0 ? .null : .integer(2)) }))
        #expect(JSONMergePatch.merge(patch, into: old).objectValue?.count == 50_000)
    }
}
