import JSONTree
import Linux
import Resources

@testable import LocalNode

/// A directory that goes with the value.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        path = "/tmp/swiftlet-localnode-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        try makeDirectories(path)
    }

    deinit { try? removeTree(path) }

    func write(_ name: String, _ text: String) throws {
        let file = "\(path)/\(name)"
        try makeDirectories(parentDirectory(of: file))
        try OwnedDescriptor(opening: file, flags: O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644).writeAll(Array(text.utf8))
    }

    func append(_ name: String, _ text: String) throws {
        let file = try OwnedDescriptor(
            opening: "\(path)/\(name)", flags: O_WRONLY | O_CREAT | O_APPEND, mode: 0o644)
        try file.writeAll(Array(text.utf8))
    }
}

func service(
    _ name: String, type: ServiceSpec.Kind = .clusterIP, clusterIP: String = "", selector: [String: String] = [:],
    ports: [ServicePort] = [ServicePort(port: 80)]
) -> Service {
    var spec = ServiceSpec()
    spec.type = type
    spec.clusterIP = clusterIP
    spec.selector = selector
    spec.ports = ports
    return Service(metadata: ObjectMeta(name: name), spec: spec)
}

func port(
    _ number: UInt16, name: String? = nil, nodePort: UInt16? = nil, transport: PortProtocol = .tcp,
    target: ServicePort.Target? = nil
) -> ServicePort {
    var port = ServicePort(port: number)
    port.name = name
    port.nodePort = nodePort
    port.protocol = transport
    if let target { port.targetPort = target }
    return port
}

func desired(_ name: String, in file: String, image: String = "web:1") -> DesiredPod {
    let pod = Pod(metadata: ObjectMeta(name: name), spec: PodSpec(containers: [Container(name: "c", image: image)]))
    let tree: JSONValue = ["metadata": ["name": .string(name)], "spec": ["image": .string(image)]]
    return DesiredPod(pod: pod, tree: tree, source: file, nodeName: "node")
}
