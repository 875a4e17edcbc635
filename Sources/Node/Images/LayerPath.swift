/// A path in a layer as an archive names it, made plain: relative to the layer's root, without `.` and empty parts.
/// Bytes, because names of files need not be text.
struct LayerPath: Hashable {
    enum Refusal: Error {
        case parent, tooLong, emptyWhiteout

        var reason: String {
            switch self {
            case .parent: "\"..\" in a path"
            case .tooLong: "longer than 4095 bytes"
            case .emptyWhiteout: "a whiteout of nothing"
            }
        }
    }

    /// NUL-terminated; just the NUL for the root itself.
    let bytes: [CChar]
    /// Where the last part starts in ``bytes``.
    let nameStart: Int

    /// `/a//./b` is `a/b`, as tar and the other runtimes take it; `..` is refused wherever it stands.
    init(_ text: UnsafePointer<CChar>) throws(Refusal) {
        var bytes: [CChar] = []
        var nameStart = 0
        var part = text
        let slash = CChar(bitPattern: UInt8(ascii: "/"))
        let dot = CChar(bitPattern: UInt8(ascii: "."))
        while part.pointee != 0 {
            var length = 0
            while part[length] != 0 && part[length] != slash { length += 1 }
            if length == 2 && part[0] == dot && part[1] == dot { throw .parent }
            if length > 0 && !(length == 1 && part[0] == dot) {
                if !bytes.isEmpty { bytes.append(slash) }
                nameStart = bytes.count
                bytes.append(contentsOf: UnsafeBufferPointer(start: part, count: length))
                if bytes.count > 4095 { throw .tooLong }
            }
            part += part[length] == slash ? length + 1 : length
        }
        bytes.append(0)
        self.bytes = bytes
        self.nameStart = nameStart
    }

    var isRoot: Bool { bytes.count == 1 }

    /// The last part, NUL-terminated.
    var name: ArraySlice<CChar> { bytes[nameStart...] }

    /// All before the last part, without the slash and without a NUL; empty when that is the root.
    var parent: ArraySlice<CChar> { bytes[..<max(0, nameStart - 1)] }

    /// For messages.
    var text: String { Self.text(bytes.dropLast()) }

    static func text(_ bytes: some Collection<CChar>) -> String {
        String(decoding: bytes.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// What a name in a layer stands for (image-spec layer.md#whiteouts).
enum LayerEntryKind: Equatable {
    case ordinary
    /// `.wh..wh..opq`: the directory hides all that lower layers have in it.
    case opaque
    /// `.wh.<name>`: hides `name` of the lower layers. Where the name starts in the path's bytes.
    case whiteout(nameStart: Int)
    /// Other `.wh..wh.` names are notes of aufs to itself.
    case ignored

    private static let prefix = Array(".wh.".utf8).map { CChar(bitPattern: $0) }
    private static let opaqueName = Array(".wh..wh..opq".utf8CString)

    init(_ path: LayerPath) throws(LayerPath.Refusal) {
        let name = path.name
        guard name.starts(with: Self.prefix) else {
            self = .ordinary
            return
        }
        if name.elementsEqual(Self.opaqueName) {
            self = .opaque
            return
        }
        let hidden = name.dropFirst(Self.prefix.count)
        if hidden.starts(with: Self.prefix) {
            self = .ignored
            return
        }
        // `.wh.`, `.wh..` and `.wh...` would name nothing, the directory itself and its parent.
        let dot = CChar(bitPattern: UInt8(ascii: "."))
        guard !hidden.elementsEqual([0]), !hidden.elementsEqual([dot, 0]), !hidden.elementsEqual([dot, dot, 0]) else {
            throw .emptyWhiteout
        }
        self = .whiteout(nameStart: hidden.startIndex)
    }
}
