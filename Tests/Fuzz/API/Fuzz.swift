// What reads foreign input in the API floor, for libFuzzer: scripts/fuzz. The first byte chooses the reader. A trap, or
// a promise that does not hold, is the finding.

import JSONTree
import Schema

private let pod = """
    {"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","labels":{"a":"b"},"finalizers":["x","y"]},
    "spec":{"containers":[{"name":"c","image":"i","env":[{"name":"E","value":"1"}],"ports":[{"containerPort":80}]},
    {"name":"d","resources":{"limits":{"cpu":"1"}}}],"volumes":[{"name":"v","emptyDir":{}}]}}
    """

/// What the readers work on.
private struct Fixture {
    let type: ObjectType
    let object: JSONValue
    let apply: ServerSideApply
    let owner = FieldManager(name: "owner", operation: .update, apiVersion: "v1")
    let applier = FieldManager(name: "applier", operation: .apply, apiVersion: "v1")
    let managed: ManagedFields

    init?() {
        guard let type = Schema.kubernetes.type(apiVersion: "v1", kind: "Pod"),
            let object = try? type.read(json: Array(pod.utf8), completes: true).value
        else { return nil }
        self.type = type
        self.object = object
        apply = ServerSideApply(type: type)
        let managed = try? apply.update(
            from: nil, to: object, managed: ManagedFields(), manager: owner, time: Timestamp(seconds: 1))
        guard let managed else { return nil }
        self.managed = managed
    }
}

private let fixture = Fixture()

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
    guard let fixture, size > 0 else { return 0 }
    let bytes = Array(UnsafeBufferPointer(start: data + 1, count: size - 1))
    switch data[0] % 7 {
    case 0: readJSON(bytes, fixture)
    case 1: readProtobuf(bytes, fixture)
    case 2:
        guard let patch = try? JSONValue.parse(bytes) else { break }
        if let result = try? JSONPatch(patch).apply(to: fixture.object) { _ = result.encoded() }
    case 3:
        guard let patch = try? JSONValue.parse(bytes) else { break }
        let result = try? StrategicMergePatch.apply(patch, to: fixture.object, type: fixture.type)
        if let result { _ = try? fixture.type.read(result) }
    case 4: applyConfiguration(bytes, fixture)
    case 5:
        guard let value = try? JSONValue.parse(bytes), let set = try? FieldSet(fieldsV1: value) else { break }
        precondition((try? FieldSet(fieldsV1: set.fieldsV1)) == set, "a set of fields is read as it is written")
        precondition(set.subtracting(set).isEmpty && set.union(set) == set, "the algebra of sets")
    default:
        guard let patch = try? JSONValue.parse(bytes) else { break }
        let once = JSONMergePatch.merge(patch, into: fixture.object)
        precondition(JSONMergePatch.merge(patch, into: once) == once, "merging twice is merging once")
    }
    return 0
}

private func readJSON(_ bytes: [UInt8], _ fixture: Fixture) {
    guard let read = try? fixture.type.read(json: bytes, completes: true) else { return }
    let again = try? fixture.type.read(read.value, completes: true)
    precondition(again?.value == read.value, "reading what was read changes nothing")
}

private func readProtobuf(_ bytes: [UInt8], _ fixture: Fixture) {
    if let object = try? ProtobufObject.read(ProtobufObject.magic + bytes) { _ = object.encoded() }
    guard let object = try? ProtobufObject.read(message: bytes, as: fixture.type) else { return }
    precondition((try? fixture.type.read(object))?.value == object, "protobuf gives what JSON gives")
}

private func applyConfiguration(_ bytes: [UInt8], _ fixture: Fixture) {
    func apply(_ config: JSONValue, _ live: JSONValue, _ managed: ManagedFields) -> (JSONValue, ManagedFields)? {
        let outcome = try? fixture.apply.apply(
            config, to: live, managed: managed, manager: fixture.applier, force: true, time: Timestamp(seconds: 2))
        guard let outcome, let read = try? fixture.type.read(outcome.object, completes: true) else { return nil }
        return (read.value, outcome.managed)
    }
    guard let config = try? JSONValue.parse(bytes), let once = apply(config, fixture.object, fixture.managed) else {
        return
    }
    precondition((try? ManagedFields(once.1.json))?.json == once.1.json, "managedFields are read as they are written")
    precondition(apply(config, once.0, once.1).map { $0.0 == once.0 } ?? true, "applying twice is applying once")
}
