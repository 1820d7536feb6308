import Testing

@testable import DevmemCore
@testable import DevmemTools

@Suite struct BenchPlanTests {
    @Test func goodPlanPasses() throws {
        try goodPlan().check()
    }

    static let hostile: [@Sendable (inout BenchPlan) -> Void] = [
        { $0.inbound = nil }, { $0.seconds = nil }, { $0.bytes = 5 }, { $0.seconds = .nan },
        { $0.seconds = .infinity }, { $0.seconds = -1 }, { $0.warmUp = .nan }, { $0.warmUp = -1 },
        { $0.flows = 0 }, { $0.flows = .max }, { $0.flows = -3 }, { $0.threads = 0 },
        { $0.threads = .max }, { $0.message = 0 }, { $0.message = .max }, { $0.segment = 0 },
        { $0.congestion = "" }, { $0.congestion = "x\0y" }, { $0.congestion = "../etc" },
        { $0.pace = 0 }, { $0.requestSize = 0 }, { $0.requestSize = 5 }, { $0.memory = 0 },
        { $0.memory = .max }, { $0.remoteProcessors = [-1] }, { $0.remoteProcessors = [4096] },
        { $0.source = BenchPlan.Source(address: "far", port: 9) },
        { $0.source = BenchPlan.Source(address: "192.0.2.2", port: 0) },
        {
            $0.source = BenchPlan.Source(address: "192.0.2.2", port: 65530)
            $0.flows = 7
        },
        {
            $0.source = BenchPlan.Source(address: "192.0.2.2", port: 9)
            $0.flows = .min
        },
        {
            $0.seconds = nil
            $0.bytes = .max
        },
    ]

    @Test(arguments: hostile.indices) func badPlanIsRefused(index: Int) {
        var plan = goodPlan()
        Self.hostile[index](&plan)
        #expect(throws: DevmemError.self) { try plan.check() }
    }

    @Test func flowsWithKnownSourceHaveExactRules() throws {
        var plan = goodPlan()
        plan.flows = 3
        let near = [
            Endpoint(address: try #require(IPAddress(text: "192.0.2.1")), port: 80),
            Endpoint(address: try #require(IPAddress(text: "192.0.2.1")), port: 81),
        ]
        #expect(BenchRemoteSide.flows(of: plan, from: near).map(\.families.count) == [1, 1])
        plan.source = BenchPlan.Source(address: "192.0.2.2", port: 65533)
        try plan.check()
        let flows = BenchRemoteSide.flows(of: plan, from: near)
        #expect(
            flows.map { $0.families[0][0].description } == [
                "flow-type tcp4 src-ip 192.0.2.1 dst-ip 192.0.2.2 src-port 80 dst-port 65533 action 0",
                "flow-type tcp4 src-ip 192.0.2.1 dst-ip 192.0.2.2 src-port 81 dst-port 65534 action 0",
                "flow-type tcp4 src-ip 192.0.2.1 dst-ip 192.0.2.2 src-port 80 dst-port 65535 action 0",
            ])
        #expect(flows[0].families[0].count == 2)
    }

    @Test func rolesAreTheTwoSides() {
        var plan = goodPlan()
        plan.outbound = BenchPlan.Direction(sender: .device, receiver: .host)
        #expect(
            BenchRole.local(of: plan)
                == BenchRole(receives: .device, sends: .device, asks: true))
        #expect(
            BenchRole.remote(of: plan) == BenchRole(receives: .host, sends: .host, asks: false))
    }
}
