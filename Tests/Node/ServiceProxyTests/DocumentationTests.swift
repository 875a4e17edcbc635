// docs/service-proxy.md shows a table and says that it is what the proxy makes: it has to stay so.
import Linux
import NFTables
import TestSupport
import Testing

@testable import ServiceProxy

@Suite struct DocumentationTests {
    private func services() throws -> [ServicePortRule] {
        [
            try service(
                "web", at: ["10.96.0.10"], 80, nodePort: 30080, to: [("10.244.0.3", 8080), ("10.244.0.4", 8080)]),
            try service("empty", port: "80", at: ["10.96.0.11"], 80, to: []),
        ]
    }

    /// The fenced blocks of the document that have no language.
    private func blocks() throws -> [String] {
        let root = parentDirectory(of: parentDirectory(of: parentDirectory(of: parentDirectory(of: #filePath))))
        let parts = try readText("\(root)/docs/service-proxy.md").components(separatedBy: "```")
        return parts.enumerated().filter { $0.offset % 2 == 1 && $0.element.hasPrefix("\n") }.map {
            String($0.element.dropFirst())
        }
    }

    @Test func theDocumentsTableIsTheProxysTable() throws {
        var table = Ruleset.compile(try services(), configuration: try configuration()).table
        for index in table.sets.indices { table.sets[index].comment = nil }
        let shown = try blocks().dropLast().joined().split(separator: "\n")
        #expect(shown == table.text.split(separator: "\n"))
    }

    @Test func theDocumentsViewIsTheProxysView() throws {
        let view = ProxyView(Ruleset.compile(try services(), configuration: try configuration()).table)
        #expect(try blocks().last == view.text)
    }
}

extension String {
    fileprivate func components(separatedBy separator: String) -> [String] {
        split(separator: separator, omittingEmptySubsequences: false).map(String.init)
    }
}
