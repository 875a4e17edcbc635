import NFTables
import Netlink
import Testing

@testable import ServiceProxy

@Suite struct ViewTests {
    private func view() throws -> ProxyView {
        ProxyView(Ruleset.compile(try sampleServices(), configuration: try configuration()).table)
    }

    @Test func itShowsEveryFrontendWithItsEndpointsAndSlots() throws {
        #expect(
            try view().text == """
                SERVICE            TYPE        FRONTEND            POLICY   ENDPOINT          SLOTS
                default/dns:dns    ClusterIP   10.96.0.53:53/udp   random   10.244.0.7:5353   0
                                                                            10.244.0.8:5353   1
                default/empty:80   ClusterIP   10.96.0.11:80/tcp   reject   <none>
                                   NodePort    *:30081/tcp         reject   <none>
                default/web:http   ClusterIP   10.96.0.10:80/tcp   random   10.244.0.3:8080   0
                                                                            10.244.0.4:8080   1
                                                                            10.244.0.5:8080   2
                                   NodePort    *:30080/tcp         random   10.244.0.3:8080   0
                                                                            10.244.0.4:8080   1
                                                                            10.244.0.5:8080   2

                """)
    }

    @Test(arguments: ["dns", "default/dns", "default/dns:dns", "dns:dns"])
    func aServiceIsFoundByAnyOfItsNames(name: String) throws {
        #expect(try view().matching(name).services.map(\.title) == ["default/dns:dns"])
    }

    @Test func whatIsNotThereIsNotFound() throws {
        #expect(try view().matching("other/dns").services.isEmpty)
        #expect(try view().matching("dn").services.isEmpty)
    }

    @Test func asJSONItHasTheSame() throws {
        #expect(
            try view().matching("dns").json.text() == """
                {"services":[{"namespace":"default","name":"dns","port":"dns","clusterIP":"10.96.0.53","frontends":[{\
                "type":"ClusterIP",\
                "address":"10.96.0.53","port":53,"protocol":"UDP","policy":"random","slots":2,"endpoints":[\
                {"address":"10.244.0.7","port":5353,"slots":[0]},{"address":"10.244.0.8","port":5353,"slots":[1]}]}]}]}
                """)
    }

    @Test func unevenSharesShow() throws {
        var ruleset = Ruleset.compile(try sampleServices(), configuration: try configuration())
        var rule = try sampleServices()[0]
        rule.endpoints.remove(at: 1)
        _ = ruleset.update(changed: [rule])
        let text = ProxyView(ruleset.table).matching("web").text
        #expect(text.contains("10.244.0.3:8080   0-1\n"), "\(text)")
    }
}
