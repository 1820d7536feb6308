import Glibc
import Testing

@testable import DevmemCore
@testable import DevmemTools

@Suite struct BenchArrivalsTests {
    private func from(_ address: String, _ port: UInt16) -> BenchPlan.Source {
        BenchPlan.Source(address: address, port: port)
    }

    /// The kernel may assign one source port to connections to different ports.
    @Test func connectionsToDifferentPortsMayComeFromOne() throws {
        let ends = [
            from("192.0.2.2", 40000), from("192.0.2.2", 40000), from("192.0.2.2", 40001),
            from("::ffff:192.0.2.2", 40002),
        ]
        let arrivals = try AnnouncedSources(ends, ports: 2)
        #expect(arrivals.peers.count == 4)
        #expect(arrivals.peersOfPorts.map(\.count) == [2, 2])
        #expect(arrivals.peersOfPorts[0].contains(arrivals.peers[2]))
        #expect(!arrivals.peersOfPorts[1].contains(arrivals.peers[2]))
        let error = #expect(throws: DevmemError.self) { _ = try AnnouncedSources(ends, ports: 1) }
        #expect(error?.message == "it reports 3 connections for 4 flows")
    }

    @Test func connectionsFromNowhereAreRefused() {
        #expect(throws: DevmemError.self) {
            _ = try AnnouncedSources([from("anywhere", 1), from("192.0.2.2", 2)], ports: 2)
        }
        for ports in [.min, 0, 1, 5] {
            #expect(throws: Never.self) { _ = try AnnouncedSources([], ports: ports) }
        }
    }

    @Test func invalidSourceIsNotMatched() throws {
        let none = try Descriptor.open("/dev/null", O_RDONLY)
        let address = try #require(IPAddress(text: "192.0.2.1"))
        let shared = BenchConnection(
            Connection(owning: none, peer: Endpoint(address: address, port: 5)))
        let error = #expect(throws: DevmemError.self) {
            _ = try BenchRemoteSide.sources(of: [shared])
        }
        #expect(error?.operation.text == "ask where the connection to 192.0.2.1:5 comes from")
    }
}
