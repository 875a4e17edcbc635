import JSONTree
import Testing

@testable import ControlSocket

@Suite("Frames")
struct ControlFrameTests {
    private func frames(_ bytes: [UInt8], chunk: Int) throws -> [ControlFrame] {
        var reader = ControlFrameReader()
        var frames: [ControlFrame] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            reader.append(rest.prefix(chunk))
            rest = rest.dropFirst(chunk)
            while let frame = try reader.next() { frames.append(frame) }
        }
        return frames
    }

    @Test("come out as they went in, however the stream cuts them", arguments: [1, 3, 8, 64, 100_000])
    func chunks(_ size: Int) throws {
        let bodies: [JSONValue] = [["verb": "ps"], [:], .string(String(repeating: "é", count: 5000)), .null]
        let sent = bodies.map { ControlFrame(kind: .progress, body: $0, descriptorCount: 2) }
        let received = try frames(sent.flatMap { try #require($0.encoded()) }, chunk: size)
        #expect(received.map(\.body) == bodies)
        #expect(received.allSatisfy { $0.kind == .progress && $0.descriptorCount == 2 })
    }

    @Test("that announce more than the bound are refused before their bytes come")
    func bound() {
        var reader = ControlFrameReader()
        reader.append([0x01, 0x00, 0x00, 0x01, 2, 0, 0, 0])
        #expect(throws: ControlError(.malformed, "a frame of 16777217 bytes is too long")) { try reader.next() }
    }

    @Test(
        "that are none are refused",
        arguments: [
            [2, 0, 0, 0, 99, 0, 0, 0, 0x7b, 0x7d],  // an unknown kind
            [2, 0, 0, 0, 2, 17, 0, 0, 0x7b, 0x7d],  // too many descriptors
            [2, 0, 0, 0, 2, 0, 1, 0, 0x7b, 0x7d],  // reserved bytes in use
            [2, 0, 0, 0, 2, 0, 0, 0, 0x7b, 0x7b],  // not JSON
            [0, 0, 0, 0, 2, 0, 0, 0],  // no body
        ] as [[UInt8]])
    func malformed(_ bytes: [UInt8]) {
        var reader = ControlFrameReader()
        reader.append(bytes)
        #expect { try reader.next() } throws: { ($0 as? ControlError)?.code == .malformed }
    }

    @Test("longer than the bound are not made")
    func tooLong() {
        let text = String(repeating: "x", count: ControlFrame.maximumLength)
        #expect(ControlFrame(kind: .result, body: .string(text)).encoded() == nil)
    }
}
