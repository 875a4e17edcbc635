// `$(NAME)` in commands, arguments and environment values.

/// Replaces `$(NAME)` by `value(NAME)`, as Kubernetes does in `command`, `args` and `env`.
///
/// `$$` stands for one `$`, so `$$(NAME)` stays `$(NAME)`; a name without a value, and a `$` before anything else,
/// stay as they are. What a value contains is not expanded again.
public func expandVariables(in text: String, value: (String) -> String?) -> String {
    let dollar = UInt8(ascii: "$")
    let bytes = Array(text.utf8)
    guard bytes.contains(dollar) else { return text }
    var result: [UInt8] = []
    var index = 0
    while index < bytes.count {
        guard bytes[index] == dollar, index + 1 < bytes.count else {
            result.append(bytes[index])
            index += 1
            continue
        }
        switch bytes[index + 1] {
        case dollar:
            result.append(dollar)
            index += 2
        case UInt8(ascii: "("):
            guard let end = bytes[(index + 2)...].firstIndex(of: UInt8(ascii: ")")) else {
                result += bytes[index..<index + 2]
                index += 2
                continue
            }
            let name = String(decoding: bytes[(index + 2)..<end], as: UTF8.self)
            result += (value(name) ?? "$(\(name))").utf8
            index = end + 1
        default:
            // The byte after it is looked at no further, even if it starts a longer character: no `$` is in there.
            result += bytes[index..<index + 2]
            index += 2
        }
    }
    return String(decoding: result, as: UTF8.self)
}
