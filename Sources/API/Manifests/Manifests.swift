// Reading files: text to documents, documents to objects.

import Glibc
import JSONTree
import Resources
import Schema

/// Reads manifests.
public enum Manifests {
    /// The largest file that is read, in bytes: what an API server takes in a request.
    public static let maximumSize = 3 << 20

    /// Reads the manifests of a file, YAML or JSON, several documents and `List`s too.
    ///
    /// - Parameter path: The file; errors name it so.
    /// - Throws: everything that is wrong with it. A file with any error gives no object.
    public static func load(_ path: String) throws(ManifestErrors) -> [Manifest] {
        try parse(try contents(path), fileName: path)
    }

    /// Whether a directory's entry is a manifest: `.yaml`, `.yml` or `.json`, not hidden.
    public static func isManifestName(_ name: String) -> Bool {
        !name.hasPrefix(".") && [".yaml", ".yml", ".json"].contains { name.hasSuffix($0) }
    }

    /// Reads the manifests in `bytes`; `fileName` is what errors call them.
    public static func parse(_ bytes: [UInt8], fileName: String) throws(ManifestErrors) -> [Manifest] {
        var reading = ManifestReading(file: fileName)
        reading.read(bytes)
        guard reading.errors.isEmpty else {
            // Stable, so that errors of one line stay in the order in which they were found.
            let sorted = reading.errors.enumerated().sorted {
                ($0.element.line, $0.offset) < ($1.element.line, $1.offset)
            }
            throw ManifestErrors(errors: sorted.map(\.element))
        }
        return reading.manifests
    }

    private static func contents(_ path: String) throws(ManifestErrors) -> [UInt8] {
        func failure(_ message: String) -> ManifestErrors {
            ManifestErrors(errors: [ManifestError(file: path, line: 0, path: "", message: message)])
        }
        func failure(errno number: Int32) -> ManifestErrors { failure(String(cString: strerror(number))) }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        guard descriptor >= 0 else { throw failure(errno: errno) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw failure(errno: errno) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw failure("not a regular file") }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure(errno: errno) }
            if count == 0 { return bytes }
            bytes += chunk[..<count]
            guard bytes.count <= maximumSize else { throw failure("larger than \(maximumSize >> 20) MiB") }
        }
    }
}

/// One file as it is read.
private struct ManifestReading {
    let file: String
    var manifests: [Manifest] = []
    var errors: [ManifestError] = []

    init(file: String) { self.file = file }

    mutating func read(_ bytes: [UInt8]) {
        guard bytes.count <= Manifests.maximumSize else {
            return fail(0, "", "larger than \(Manifests.maximumSize >> 20) MiB")
        }
        for document in documents(bytes) {
            for error in document.errors { fail(document.line(of: error.path), "\(error.path)", error.message) }
            // A document with duplicate keys is checked no further: which of the two is meant?
            if document.errors.isEmpty { read(document.tree, at: JSONPath(), of: document) }
        }
    }

    private mutating func fail(_ line: Int, _ path: String, _ message: String) {
        errors.append(ManifestError(file: file, line: line, path: path, message: message))
    }

    // MARK: Text to documents

    private mutating func documents(_ bytes: [UInt8]) -> [Document] {
        do throws(ManifestErrors) {
            return try Document.all(in: bytes, fileName: file)
        } catch {
            errors += error.errors
            return []
        }
    }

    // MARK: Documents to objects

    /// Reads the object at `path` of a document.
    private mutating func read(_ tree: JSONValue, at path: JSONPath, of document: Document) {
        func fail(_ error: FieldError) {
            let whole = JSONPath(path.steps + error.path.steps)
            self.fail(document.line(of: whole), "\(whole)", error.message)
        }
        guard case .object(let object) = tree else {
            return fail(.type(JSONPath(), expected: "an object", got: tree))
        }
        guard let version = word("apiVersion", object, fail), let kind = word("kind", object, fail) else { return }
        if version == "v1", kind.hasSuffix("List") {
            guard case .array(let items)? = object["items"] else {
                let items = JSONPath([.field("items")])
                return fail(object["items"].map { .type(items, expected: "a list", got: $0) } ?? .required(items))
            }
            for (index, item) in items.enumerated() {
                read(typed(item, listKind: kind), at: path.field("items").index(index), of: document)
            }
            return
        }
        guard let typeName = Schema.typeName(apiVersion: version, kind: kind) else {
            return fail(FieldError(JSONPath([.field("kind")]), .notServed, refusal(version, kind)))
        }
        let (checked, errors) = Schema.kubernetes.check(tree, as: typeName)
        errors.forEach(fail)
        do throws(InvalidObject) {
            let object: ManifestObject =
                kind == "Pod" ? .pod(try Pod(tree: checked)) : .service(try Service(tree: checked))
            let source = ManifestSource(file: file, document: document.index, line: document.line(of: path))
            if errors.isEmpty { add(Manifest(object: object, source: source)) }
        } catch {
            // What the check took out must not be missed again.
            for fault in error.errors
            where !errors.contains(where: { fault.path.contains($0.path) || $0.path.contains(fault.path) }) {
                fail(fault)
            }
        }
    }

    /// An item of a `PodList` may leave out what the list says.
    private func typed(_ item: JSONValue, listKind: String) -> JSONValue {
        guard case .object(var object) = item, listKind != "List" else { return item }
        if object["kind"] == nil { object["kind"] = .string(String(listKind.dropLast("List".count))) }
        if object["apiVersion"] == nil { object["apiVersion"] = "v1" }
        return .object(object)
    }

    private func word(_ name: String, _ object: JSONObject, _ fail: (FieldError) -> Void) -> String? {
        let path = JSONPath([.field(name)])
        switch object[name] {
        case .string(let word)? where !word.isEmpty: return word
        case .string?, nil, .null?: fail(.required(path))
        case let other?: fail(.type(path, expected: "a string", got: other))
        }
        return nil
    }

    private func refusal(_ version: String, _ kind: String) -> String {
        if kind == "Pod" || kind == "Service" {
            return "kind \"\(kind)\" has no version \"\(version)\": its apiVersion is v1"
        }
        return "kind \"\(kind)\" is not served by a node without control plane; it runs v1 Pod and Service"
    }

    /// Adds an object, unless the file has one of its kind and name already.
    private mutating func add(_ manifest: Manifest) {
        let metadata = manifest.object.metadata
        let earlier = manifests.first {
            $0.object.kind == manifest.object.kind && $0.object.metadata.name == metadata.name
                && $0.object.metadata.namespace == metadata.namespace
        }
        if let earlier {
            let name = "\(manifest.object.kind) \(metadata.namespace)/\(metadata.name)"
            fail(manifest.source.line, "metadata.name", "\(name) is there already, at line \(earlier.source.line)")
        } else {
            manifests.append(manifest)
        }
    }
}
