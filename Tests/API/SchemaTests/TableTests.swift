import JSONTree
import Testing

@testable import Schema

@Suite("The table of types") struct TableTests {
    private let schema = Schema.kubernetes

    @Test("every type that a field names is in the table, and every type is reached from a kind")
    func closed() {
        var reached: Set<String> = ["meta.v1.ObjectMeta", "meta.v1.ListMeta"]
        var open =
            Array(reached) + schema.kinds.compactMap { schema.type(apiVersion: $0.apiVersion, kind: $0.kind)?.name }
        while let name = open.popLast() {
            reached.insert(name)
            guard let type = schema.type(named: name) else {
                Issue.record("\(name) is not in the table")
                continue
            }
            let inlined = type.wire.compactMap { if case .inlined(let reference) = $0 { reference.name } else { nil } }
            let named = type.fields.compactMap { $0.kind.objectType?.name }
            open += (inlined + named).filter { !reached.contains($0) }
        }
        #expect(Set(schema.typeNames) == reached)
        #expect(reached.count == 392)
        #expect(schema.kinds.count == 56)
    }

    @Test("every list key and merge key is a scalar field of the list's elements, and every field's number is its own")
    func keys() {
        for name in schema.typeNames {
            guard let type = schema.type(named: name) else { continue }
            #expect(Set(type.fields.map(\.name)).count == type.fields.count, "\(name)")
            #expect(type.wire.first.map { if case .none = $0 { true } else { false } } ?? true, "\(name) has a field 0")
            for field in type.fields {
                guard case .list(let element, let kind) = field.kind else { continue }
                var keys = field.patch.mergeKey.map { [$0] } ?? []
                if case .map(let mapKeys) = kind { keys += mapKeys }
                #expect(
                    keys.allSatisfy { element.objectType?.field($0)?.kind.isScalar == true }, "\(name).\(field.name)")
            }
        }
    }

    @Test("the notation is read")
    func notation() throws {
        let schema = Schema(tables: [
            """
            @a.v1 a.io/v1
            kind A: a 1 string !, b 3 [B/x+y] merge,
             c 4 {quantity}, +C 5, d 6 [string]set merge
            B: x 1 bool =, y 2 string =TCP, z 3 [B]
            C atomic: e 1 {string}atomic, f 2 <string>, g 3 B|list, h 4 [B] merge=x retainKeys
            @b.v2 b.io/v2
            kind A: a 1 a.v1.B replace

            """
        ])
        let type = try #require(schema.type(apiVersion: "a.io/v1", kind: "A"))
        #expect(type.fields.map(\.name) == ["apiVersion", "kind", "a", "b", "c", "e", "f", "g", "h", "d"])
        #expect(type.name == "a.v1.A" && type.shortName == "A" && !type.isAtomic)
        #expect(type.field("a")?.isRequired == true && type.field("a")?.number == 1)
        let other = TypeReference(try #require(schema.type(named: "a.v1.B")))
        #expect(type.field("b")?.kind == .list(.object(other), .map(keys: ["x", "y"])))
        #expect(type.field("b")?.patch == PatchStrategy(mergesList: true, mergeKey: "x"))
        #expect(type.field("c")?.kind == .map(.quantity, isAtomic: false))
        #expect(type.field("d")?.kind == .list(.string, .set))
        #expect(type.field("d")?.patch == PatchStrategy(mergesList: true))
        #expect(type.field("e")?.kind == .map(.string, isAtomic: true))
        #expect(type.field("f")?.kind == .wrapped(.string))
        #expect(type.field("g")?.kind == .either(other, .listOfObjects))
        #expect(type.field("h")?.kind == .list(.object(other), .atomic))
        #expect(type.field("h")?.patch == PatchStrategy(mergesList: true, mergeKey: "x", retainsKeys: true))
        #expect(other.type.field("x")?.defaultValue == false && other.type.field("y")?.defaultValue == "TCP")
        #expect(schema.type(named: "a.v1.C")?.isAtomic == true)
        let second = try #require(schema.type(apiVersion: "b.io/v2", kind: "A")?.field("a"))
        #expect(second.kind == .object(other) && second.patch.replaces)
        #expect(schema.kinds.count == 2 && schema.typeNames.count == 4)
    }

    @Test("facts that are known well")
    func facts() throws {
        let spec = try #require(schema.type(named: "core.v1.PodSpec"))
        #expect(spec.field("containers")?.number == 2 && spec.field("containers")?.patch.mergeKey == "name")
        #expect(spec.field("volumes")?.patch.retainsKeys == true)
        let ports = try #require(schema.type(named: "core.v1.Container")?.field("ports"))
        #expect(ports.patch.mergeKey == "containerPort")
        guard case .list(_, .map(let keys)) = ports.kind else { throw Missing() }
        #expect(keys == ["containerPort", "protocol"])
        #expect(ports.kind.objectType?.field("protocol")?.defaultValue == "TCP")
        #expect(schema.type(named: "core.v1.Volume")?.field("emptyDir")?.number == 2)
        #expect(schema.type(named: "core.v1.SecretKeySelector")?.isAtomic == true)
        let finalizers = try #require(schema.type(named: "meta.v1.ObjectMeta")?.field("finalizers"))
        #expect(finalizers.kind == .list(.string, .set) && finalizers.patch.mergesList)
        #expect(schema.type(apiVersion: "apps/v1", kind: "DeleteOptions")?.name == "meta.v1.DeleteOptions")
        #expect(schema.type(apiVersion: "v1", kind: "Deployment") == nil)
        #expect(schema.type(named: "core.v1.Nonsense") == nil)
    }

    @Test("a name that Unicode deems the same is another name")
    func canonicalEquivalence() {
        let constraint = schema.type(named: "core.v1.TopologySpreadConstraint")
        #expect(constraint?.field("topologyKey") != nil)
        #expect(constraint?.field("topology\u{212A}ey") == nil)
    }

    @Test("every mark of a served field stands at a field of the table")
    func served() {
        for (name, marks) in ServedFields.node.marks {
            let type = schema.type(named: name)
            for field in marks.keys { #expect(type?.field(field) != nil, "\(name).\(field)") }
        }
        #expect(
            ServedFields.node.marks["core.v1.VolumeMount"]?["recursiveReadOnly"]
                == .someValues(["Disabled"], notServed: ["Enabled", "IfPossible"]))
        #expect(ServedFields.node.marks["core.v1.PodSpec"]?["priority"] == .someValues(["0"], notServed: nil))
    }

    @Test("the kinds of a manifest")
    func kinds() {
        #expect(Schema.typeName(apiVersion: "v1", kind: "Pod") == "core.v1.Pod")
        #expect(Schema.typeName(apiVersion: "v1", kind: "Service") == "core.v1.Service")
        #expect(Schema.typeName(apiVersion: "v2", kind: "Pod") == nil)
        #expect(Schema.typeName(apiVersion: "v1", kind: "ConfigMap") == nil)
    }

    private struct Missing: Error {}
}
