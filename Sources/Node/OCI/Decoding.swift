import JSONTree

/// A document that is not what the image-spec says: which field, and what is wrong with it.
public struct FormatError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Such as `layers[2].digest: "md5:…" is no digest …`.
    public let message: String

    public init(_ message: String) { self.message = message }

    public var description: String { message }
}

/// The bounds of what is decoded: far above any real image, far below what would hurt.
public enum Bounds {
    /// Bytes of a manifest or index (distribution-spec: registries should accept at least 4 MiB).
    public static let manifestBytes = 4 << 20
    /// Bytes of an image configuration.
    public static let configBytes = 8 << 20
    /// Layers of one image. overlayfs itself takes at most 500.
    public static let layers = 500
    /// Manifests in one index.
    public static let indexEntries = 4096
    /// Bytes of one blob.
    public static let blobBytes: Int64 = 1 << 40
}

/// Parses a JSON document into its object.
func document(_ bytes: [UInt8], _ what: String, limit: Int) throws(FormatError) -> JSONField {
    guard bytes.count <= limit else { throw FormatError("\(what): \(bytes.count) bytes, more than \(limit)") }
    do {
        let tree = try JSONValue.parse(bytes)
        guard tree.objectValue != nil else { throw FormatError("\(what): \(tree.kindName), expected an object") }
        return JSONField(value: tree, path: "")
    } catch let error as JSONError {
        throw FormatError("\(what): no JSON: \(error)")
    } catch let error as FormatError {
        throw error
    } catch {
        throw FormatError("\(what): \(error)")
    }
}

/// A place in a document, so that errors can name it. null counts as absent, as Go's encoding/json has it.
struct JSONField {
    let value: JSONValue?
    let path: String

    init(value: JSONValue?, path: String) {
        self.value = value?.isNull == true ? nil : value
        self.path = path
    }

    subscript(key: String) -> JSONField {
        JSONField(value: value?[key], path: path.isEmpty ? key : "\(path).\(key)")
    }

    func wrong(_ expected: String) -> FormatError {
        FormatError("\(path): \(value.map(\.kindName) ?? "missing"), expected \(expected)")
    }

    func text(limit: Int = 1 << 20) throws(FormatError) -> String? {
        guard let value else { return nil }
        guard let text = value.stringValue else { throw wrong("a string") }
        guard text.utf8.count <= limit else { throw FormatError("\(path): longer than \(limit) bytes") }
        return text
    }

    func integer() throws(FormatError) -> Int64? {
        guard let value else { return nil }
        guard let number = value.integerValue else { throw wrong("an integer") }
        return number
    }

    func flag() throws(FormatError) -> Bool? {
        guard let value else { return nil }
        guard let flag = value.boolValue else { throw wrong("a boolean") }
        return flag
    }

    func elements(limit: Int) throws(FormatError) -> [JSONField]? {
        guard let value else { return nil }
        guard let array = value.arrayValue else { throw wrong("a list") }
        guard array.count <= limit else { throw FormatError("\(path): \(array.count) elements, more than \(limit)") }
        return array.enumerated().map { JSONField(value: $0.element, path: "\(path)[\($0.offset)]") }
    }

    func texts(limit: Int = 1 << 16) throws(FormatError) -> [String] {
        var texts: [String] = []
        for element in try elements(limit: limit) ?? [] {
            guard let text = try element.text() else { throw element.wrong("a string") }
            texts.append(text)
        }
        return texts
    }

    /// The keys of an object that serves as a set (`"Volumes": {"/data": {}}`), in the document's order.
    func keys(limit: Int = 1 << 12) throws(FormatError) -> [String] {
        guard let value else { return [] }
        guard let object = value.objectValue else { throw wrong("an object") }
        guard object.count <= limit else { throw FormatError("\(path): \(object.count) members, more than \(limit)") }
        return object.keys
    }

    func labels(limit: Int = 1 << 12) throws(FormatError) -> [String: String] {
        var labels: [String: String] = [:]
        for key in try keys(limit: limit) { labels[key] = try self[key].text() ?? "" }
        return labels
    }

    func digest() throws(FormatError) -> Digest {
        guard let text = try text(limit: 1024) else { throw wrong("a digest") }
        do { return try Digest(text) } catch { throw FormatError("\(path): \(error.message)") }
    }
}
