import ContainerRuntime
import Glibc
import Linux
import Testing

@Suite struct StartTests {
    @Test func aLineOfOutputAppearsInTheLogInCRIFormat() async throws {
        try await TestPod.with { pod in
            let outcome = try await pod.run("echo hello; echo oops >&2; exit 3")
            #expect(outcome.status == ContainerRuntime.ExitStatus(code: 3, signal: 0))
            #expect(outcome.lines.filter { $0.stream == "stdout" }.map(\.text) == ["hello"])
            #expect(outcome.lines.filter { $0.stream == "stderr" }.map(\.text) == ["oops"])
            #expect(outcome.lines.allSatisfy { $0.tag == "F" })
        }
    }
}
