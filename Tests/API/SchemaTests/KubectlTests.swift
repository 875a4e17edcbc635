import JSONTree
import Testing

@testable import Schema

@Suite("What a real kubectl sends and computes") struct KubectlTests {
    @Test("the protobuf that kubectl create sends is the object that it shows", arguments: kubectlObjects.keys.sorted())
    func objects(name: String) throws {
        let fixture = try #require(kubectlObjects[name])
        let sent = try ProtobufObject.read(try #require(bytes(ofBase64: fixture.protobuf)))
        let shown = try JSONValue.parse(fixture.json)
        let version = try #require(shown["apiVersion"]?.stringValue)
        let kind = try #require(shown["kind"]?.stringValue)
        let type = try #require(Schema.kubernetes.type(apiVersion: version, kind: kind))
        let read = try type.read(shown)
        #expect(sent == read.value)
        #expect(read.findings.isEmpty)
        // Completing adds nothing to what Go wrote: all that it writes always is there.
        #expect(try type.read(sent, completes: true).value == (try type.read(shown, completes: true).value))
    }

    @Test("strategic merge patches give what apimachinery gives", arguments: kubectlPatches.indices)
    func patches(index: Int) throws {
        let fixture = kubectlPatches[index]
        let type = try #require(Schema.kubernetes.type(named: "core.v1.Pod"))
        let patched = try StrategicMergePatch.apply(
            try JSONValue.parse(fixture.patch), to: try JSONValue.parse(fixture.object), type: type)
        // apimachinery leaves nulls and some directives for the decoder to prune.
        #expect(try type.read(patched).value == (try type.read(try JSONValue.parse(fixture.result)).value))
    }
}
