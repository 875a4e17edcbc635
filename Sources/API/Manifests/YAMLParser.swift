// YAML text to nodes that know their lines, over libyaml's events (the C library inside of Yams). Yams' own composer
// is not used: it hashes keys through aliases, which a few lines of anchors can make endless, and forgets where a
// duplicate's first key stood.

import CYaml

/// Why a text is no YAML that can be read, and where.
struct YAMLError: Error {
    /// From 1.
    let line: Int
    let message: String
}

/// A node of a YAML document. Aliases share the node that they name, so anchors cost no memory.
final class YAMLNode {
    enum Content {
        /// `plain`: written without quotes, so that it may be a number, a boolean or null.
        case scalar(String, plain: Bool)
        case sequence([YAMLNode])
        case mapping([(key: YAMLNode, value: YAMLNode)])
    }

    let content: Content
    /// An explicit tag such as `tag:yaml.org,2002:str`.
    let tag: String?
    /// From 1.
    let line: Int

    init(_ content: Content, tag: String?, line: Int) {
        self.content = content
        self.tag = tag
        self.line = line
    }
}

/// Reads a stream of YAML documents.
struct YAMLParser: ~Copyable {
    /// How deep collections may nest.
    static let maximumDepth = 128

    private let parser: UnsafeMutablePointer<yaml_parser_t>
    private let bytes: UnsafeBufferPointer<UInt8>
    private var anchors: [String: YAMLNode] = [:]
    private var depth = 0

    /// `bytes` must stay where they are as long as the parser lives.
    private init(_ bytes: UnsafeBufferPointer<UInt8>) {
        self.bytes = bytes
        parser = .allocate(capacity: 1)
        yaml_parser_initialize(parser)
        yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
        yaml_parser_set_input_string(parser, bytes.baseAddress, bytes.count)
    }

    deinit {
        yaml_parser_delete(parser)
        parser.deallocate()
    }

    /// All documents of `bytes`, without those that are empty.
    static func documents(_ bytes: [UInt8]) throws(YAMLError) -> [YAMLNode] {
        // libyaml takes no null pointer, which an empty array may have.
        if bytes.isEmpty { return [] }
        return try bytes.withUnsafeBufferPointer { (buffer) throws(YAMLError) -> [YAMLNode] in
            var parser = YAMLParser(buffer)
            return try parser.documents()
        }
    }

    private mutating func documents() throws(YAMLError) -> [YAMLNode] {
        var documents: [YAMLNode] = []
        while true {
            let event = try next()
            switch event.type {
            case YAML_STREAM_END_EVENT: return documents
            case YAML_DOCUMENT_START_EVENT:
                anchors = [:]
                let root = try node(try next())
                if case .scalar("", plain: true) = root.content, root.tag == nil { continue }
                documents.append(root)
            default: continue
            }
        }
    }

    // MARK: Nodes

    private mutating func node(_ event: Event) throws(YAMLError) -> YAMLNode {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.maximumDepth else {
            throw YAMLError(line: event.line, message: "nested deeper than \(Self.maximumDepth) levels")
        }
        let content: YAMLNode.Content
        switch event.type {
        case YAML_ALIAS_EVENT:
            guard let node = anchors[event.anchor ?? ""] else {
                throw YAMLError(line: event.line, message: "alias *\(event.anchor ?? "") has no anchor before it")
            }
            return node
        case YAML_SCALAR_EVENT: content = .scalar(event.value, plain: event.isPlain)
        case YAML_SEQUENCE_START_EVENT: content = .sequence(try elements())
        case YAML_MAPPING_START_EVENT: content = .mapping(try members())
        default: throw YAMLError(line: event.line, message: "unexpected end of a document")
        }
        let node = YAMLNode(content, tag: event.tag, line: event.line)
        if let anchor = event.anchor { anchors[anchor] = node }
        return node
    }

    private mutating func elements() throws(YAMLError) -> [YAMLNode] {
        var elements: [YAMLNode] = []
        while true {
            let event = try next()
            if event.type == YAML_SEQUENCE_END_EVENT { return elements }
            elements.append(try node(event))
        }
    }

    private mutating func members() throws(YAMLError) -> [(key: YAMLNode, value: YAMLNode)] {
        var members: [(key: YAMLNode, value: YAMLNode)] = []
        while true {
            let event = try next()
            if event.type == YAML_MAPPING_END_EVENT { return members }
            let key = try node(event)
            members.append((key, try node(try next())))
        }
    }

    // MARK: Events

    private struct Event {
        let type: yaml_event_type_t
        let line: Int
        var anchor: String?
        var tag: String?
        var value = ""
        var isPlain = false
    }

    private mutating func next() throws(YAMLError) -> Event {
        var event = yaml_event_t()
        guard yaml_parser_parse(parser, &event) == 1 else { throw failure() }
        defer { yaml_event_delete(&event) }
        var result = Event(type: event.type, line: Int(event.start_mark.line) + 1)
        switch event.type {
        case YAML_ALIAS_EVENT: result.anchor = text(event.data.alias.anchor)
        case YAML_SCALAR_EVENT:
            let scalar = event.data.scalar
            result.anchor = text(scalar.anchor)
            result.tag = text(scalar.tag)
            result.value = String(
                decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
            result.isPlain = scalar.style == YAML_PLAIN_SCALAR_STYLE
        case YAML_SEQUENCE_START_EVENT:
            result.anchor = text(event.data.sequence_start.anchor)
            result.tag = text(event.data.sequence_start.tag)
        case YAML_MAPPING_START_EVENT:
            result.anchor = text(event.data.mapping_start.anchor)
            result.tag = text(event.data.mapping_start.tag)
        default: break
        }
        return result
    }

    private func text(_ pointer: UnsafeMutablePointer<yaml_char_t>?) -> String? {
        pointer.map { String(cString: $0) }
    }

    private func failure() -> YAMLError {
        let problem = parser.pointee.problem.map { String(cString: $0) } ?? "out of memory"
        let context = parser.pointee.context.map { String(cString: $0) }
        let message = context.map { "\(problem) \($0)" } ?? problem
        if parser.pointee.error == YAML_READER_ERROR {
            // The reader says no line, only an offset.
            return YAMLError(line: line(at: parser.pointee.problem_offset), message: message)
        }
        // libyaml counts the end as a line of its own.
        let line = min(Int(parser.pointee.problem_mark.line) + 1, line(at: bytes.count))
        let hint = isIndentedByTab(line) ? "; tabs cannot indent YAML, use spaces" : ""
        return YAMLError(line: line, message: message + hint)
    }

    private func isIndentedByTab(_ line: Int) -> Bool {
        let lines = bytes.split(separator: UInt8(ascii: "\n"), maxSplits: line, omittingEmptySubsequences: false)
        guard lines.count >= line else { return false }
        return lines[line - 1].prefix { $0 == 0x20 || $0 == 0x09 }.contains(0x09)
    }
    /// The line, from 1, of the byte at `offset`; of the last byte, where the offset is beyond it.
    private func line(at offset: Int) -> Int {
        bytes[..<max(0, min(offset, bytes.count - 1))].count { $0 == UInt8(ascii: "\n") } + 1
    }
}
