import CDevmem
import Glibc
import Logging
import SystemPackage
import TestSupport
import Testing

@testable import DevmemCore

@Suite struct AcceptRefusalTests {
    @Test(arguments: [
        EAGAIN, EINTR, ECONNABORTED, EPROTO, ENETDOWN, ENOPROTOOPT, EHOSTDOWN, ENONET, EHOSTUNREACH,
        EOPNOTSUPP, ENETUNREACH, EPERM,
    ])
    func aConnectionThatIsGoneIsNoFailure(code: Int32) {
        #expect(AcceptFailure(code) == .connection)
    }

    @Test(arguments: [EMFILE, ENFILE, ENOBUFS, ENOMEM]) func shortagesPass(code: Int32) {
        #expect(AcceptFailure(code) == .shortage)
    }

    @Test(arguments: [EBADF, EINVAL, ENOTSOCK, EFAULT, 0, -1, .max]) func othersAreFailures(
        code: Int32
    ) {
        #expect(AcceptFailure(code) == .socket)
    }
}

@Suite struct ListenerGroupTests {
    private func endpoint(_ text: String) throws -> Endpoint {
        try Endpoint(resolving: EndpointText(text))
    }

    private func accept(_ group: ListenerGroup) throws -> Endpoint? {
        guard
            try StopSignal().wait(for: group.rawValue, events: Int32(POLLIN), milliseconds: 5000)
                == .ready
        else { return nil }
        return try group.accept(short: { _ in })?.peer
    }

    @Test func allAddressesOfANameAreListenedAt() throws {
        let group = try ListenerGroup(binding: [
            endpoint("127.0.0.1:0"), endpoint("127.0.0.2:0"),
        ])
        let ends = group.endpoints
        #expect(ends.count == 2 && ends[0].port == ends[1].port && ends[0].port > 0)
        try group.listen(backlog: 8)
        for end in [ends[1], ends[0], ends[1]] {
            let near = try connected(to: end)
            #expect(try accept(group) == near.local)
        }
        #expect(try group.accept(short: { _ in })?.peer == nil)
    }

    /// Many connections to one address do not keep others from being accepted.
    @Test func eachAddressHasItsTurn() throws {
        let group = try ListenerGroup(binding: [
            endpoint("127.0.0.1:0"), endpoint("127.0.0.2:0"),
        ])
        let ends = group.endpoints
        try group.listen(backlog: 8)
        let first = [try connected(to: ends[0]).local, try connected(to: ends[0]).local]
        let second = try connected(to: ends[1]).local
        let order = [try accept(group), try accept(group), try accept(group)]
        #expect(order == [first[0], second, first[1]])
    }

    @Test func aConnectionWaitsOnlyUntilTheDeadline() throws {
        let address = try endpoint("127.0.0.1:0")
        let listener = try Listener(binding: address)
        try listener.listen()
        let near = try connected(to: listener.endpoint)
        let stop = SharedStopSignal(StopSignal())
        let late = #expect(throws: DevmemError.self) {
            _ = try stop.accept(on: listener, until: .after(.zero), "wait")
        }
        #expect(late?.errno == .timedOut)
        let far = try stop.accept(on: listener, until: .after(.seconds(5)), "wait").peer
        #expect(far == near.local)
    }

    @Test func anAddressOfAnotherHostIsLeftOutAndReported() throws {
        var errors: [DevmemError] = []
        let group = try ListenerGroup(binding: [
            endpoint("192.0.2.77:0"), endpoint("127.0.0.1:0"),
        ]) { errors.append($0) }
        #expect(group.endpoints.map(\.address.description) == ["127.0.0.1"])
        #expect(errors.count == 1 && errors.first?.errno == .addressNotAvailable)
        #expect(throws: DevmemError.self) {
            _ = try ListenerGroup(binding: [endpoint("192.0.2.77:0")])
        }
        #expect(throws: DevmemError.self) {
            _ = try ListenerGroup(binding: [endpoint("192.0.2.77:0"), endpoint("192.0.2.78:0")])
        }
        #expect(throws: DevmemError.self) { _ = try ListenerGroup(binding: []) }
    }

    @Test(.timeLimit(.minutes(1))) func aSignalEndsTheWaitForAConnection() throws {
        let listener = try listenOnLoopback()
        let near = try connected(to: listener.endpoint)
        #expect(try listener.accept(until: StopSignal())?.peer == near.local)
        let broadcast = try StopBroadcast()
        broadcast.announce(SIGTERM)
        #expect(try listener.accept(until: StopSignal(following: broadcast))?.peer == nil)
    }

    /// Only an address of another host is left out.
    @Test func anAddressInUseIsAFailure() throws {
        let taken = try Listener(binding: endpoint("127.0.0.1:0"))
        try taken.listen()
        let error = #expect(throws: DevmemError.self) {
            _ = try ListenerGroup(binding: [
                endpoint("192.0.2.77:\(taken.endpoint.port)"), taken.endpoint,
            ])
        }
        #expect(error?.errno == .addressInUse)
    }

    @Test(arguments: ["0.0.0.0:0", "[::]:0", "[::1]:0"])
    func anyAddressIsListenedAt(text: String) throws {
        let wanted = try endpoint(text)
        let listener = try Listener(binding: wanted)
        try listener.listen()
        #expect(listener.endpoint.address == wanted.address && listener.endpoint.port > 0)
    }

    /// An administrator's lower limit for retransmissions stays.
    @Test func aLowerLimitStays() throws {
        let listener = try listenOnLoopback()
        let near = try connected(to: listener.endpoint)
        guard near.maximumRetransmissionTimeout != nil else { return }
        var lower: Int32 = 1500
        #expect(
            setsockopt(
                near.rawValue, cdm_IPPROTO_TCP, cdm_TCP_RTO_MAX_MS, &lower,
                socklen_t(MemoryLayout<Int32>.size)) == 0)
        try near.enableKeepalive(for: .standard)
        #expect(near.maximumRetransmissionTimeout == 1500)
    }

    /// A waiting connection has a small receive buffer, which grows when it is served.
    @Test func waitingConnectionsHaveSmallBuffers() throws {
        let group = try ListenerGroup(binding: [endpoint("127.0.0.1:0")])
        try group.setInitialReceiveBuffer(to: 16 << 10)
        try group.listen(backlog: 4)
        let near = try connected(to: group.endpoints[0])
        let zeros = [UInt8](repeating: 0, count: 4 << 20)
        var sent = 0
        while true {
            let count = Glibc.send(near.rawValue, zeros, zeros.count, cdm_MSG_DONTWAIT)
            if count > 0 {
                sent += count
                continue
            }
            let wait = try StopSignal().wait(
                for: near.rawValue, events: Int32(POLLOUT), milliseconds: 300)
            if wait == .timeout { break }
        }
        let held = sent - (try near.unacknowledged())
        #expect(held > 0 && held <= 32 << 10)
        guard let far = try group.accept(short: { _ in }) else {
            Issue.record("nobody came")
            return
        }
        _ = try far.limitBuffers(to: 8 << 20)
        var taken = 0
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while taken < held {
            #expect(
                try StopSignal().wait(
                    for: far.rawValue, events: Int32(POLLIN), milliseconds: 20_000)
                    == .ready)
            let count = read(far.rawValue, &buffer, buffer.count)
            guard count > 0 else {
                Issue.record("it ended after \(taken) bytes")
                return
            }
            taken += count
        }
        // Now the rest arrives, up to the new buffer size: no one reads, and at last it holds more.
        let more = taken + 10 * held
        try awaitCondition("the rest arrives") { () throws(DevmemError) in
            sent - (try near.unacknowledged()) >= min(more, sent)
        }
    }

    @Test func whoWaitsIsResetWhenNobodyListensAnyMore() throws {
        let group = try ListenerGroup(binding: [endpoint("127.0.0.1:0")])
        try group.listen(backlog: 4)
        let near = try connected(to: group.endpoints[0])
        group.stopListening()
        #expect(
            try StopSignal().wait(for: near.rawValue, events: Int32(POLLIN), milliseconds: 5000)
                == .ready)
        #expect(near.pendingError() == .connectionReset)
        let refusal = #expect(throws: DevmemError.self) {
            _ = try connected(to: group.endpoints[0])
        }
        #expect(refusal?.errno != .timedOut)
    }

    @Test func withoutIPv6EveryAddressIsEveryIPv4Address() throws {
        func substitute(_ text: String, _ errno: Errno) throws -> String? {
            Listener.substitute(
                for: try endpoint(text), after: DevmemError(.system, call: "", errno: errno)
            )?.description
        }
        #expect(try substitute(":80", .addressFamilyNotSupported) == "0.0.0.0:80")
        #expect(try substitute(":80", .addressNotAvailable) == "0.0.0.0:80")
        #expect(try substitute(":80", .addressInUse) == nil)
        #expect(try substitute("[2001:db8::1]:80", .addressNotAvailable) == nil)
        #expect(try substitute("0.0.0.0:80", .addressNotAvailable) == nil)
    }

    @Test func namesWithBothFamiliesMakeFlowsOfBoth() throws {
        let four = try endpoint("192.0.2.1:80")
        let six = try endpoint("[2001:db8::1]:80")
        let any = try endpoint("[::]:80")
        let peers = try #require(
            [
                IPAddress(text: "192.0.2.2"), IPAddress(text: "2001:db8::2"),
            ] as? [IPAddress])
        func flows(_ ends: [Endpoint], _ peers: [IPAddress]) -> [SteeringFlow] {
            ReceiveRequest.flows(to: ends, from: peers, port: 9)
        }
        #expect(
            flows([four, six], peers) == [
                SteeringFlow(to: four, from: peers[0], port: 9),
                SteeringFlow(to: six, from: peers[1], port: 9),
            ])
        #expect(flows([any], peers).count == 2)
        #expect(flows([four, six], []).count == 2)
        #expect(flows([four], [peers[1]]).isEmpty)
    }
}

@Suite struct ReceiveBudgetTests {
    /// With any numbers, the NIC keeps what its rings hold, or half of the memory.
    @Test func whatAllMayHoldLeavesTheNICItsShare() {
        var random = SeededGenerator(seed: 11)
        for _ in 0..<20_000 {
            let memory = UInt64.random(
                in: 1 << 23...1 << UInt64.random(in: 24...40, using: &random), using: &random)
            let rings = UInt64.random(in: 0...memory * 2, using: &random)
            let count = Int.random(in: 1...64, using: &random)
            let budget = ReceiveBudget(
                memory: memory, rings: rings, listeners: Int.random(in: 1...3, using: &random),
                connections: count, keepsListening: true,
                initial: UInt64.random(in: 0...1 << 22, using: &random))
            let held = budget.waiting + budget.share * UInt64(count == 1 ? 1 : 2 * count)
            // Also for a NIC that does not report its rings.
            #expect(held <= memory - max(min(rings, memory / 2), memory / 8))
            #expect(budget.backlog >= 0 && budget.backlog < 4096)
        }
    }

    @Test func sharesAreAsTheManualSays() {
        let large = ReceiveBudget(
            memory: 64 << 20, rings: 4 << 20, connections: 4, keepsListening: true,
            initial: 128 << 10)
        #expect(large.share == 5_505_024 && large.backlog == 255)
        #expect(large.initial == 28 << 10)
        let small = ReceiveBudget(
            memory: 4 << 20, rings: 1 << 20, connections: 1, keepsListening: true,
            initial: 128 << 10)
        #expect(small.backlog == 84 && small.waiting == 85 * 9216 && small.initial == 4608)
        #expect(small.share == (3 << 20) - small.waiting)
    }

    /// Each socket has room for one waiting connection, and all of them count against the budget.
    @Test func aPlaceOfEachSocketIsCounted() {
        func budget(_ listeners: Int) -> ReceiveBudget {
            ReceiveBudget(
                memory: 256 << 10, rings: 0, listeners: listeners, connections: 1,
                keepsListening: true, initial: 64 << 10)
        }
        #expect(budget(1).backlog == 5 && budget(1).waiting == 6 * 9216)
        #expect(budget(8).backlog == 7 && budget(8).waiting == 8 * 9216)
        #expect(budget(1).share - budget(8).share == 2 * 9216)
        #expect(budget(.max).backlog == 63 && budget(.min) == budget(1))
    }

    @Test func absurdNumbersDoNotTrap() {
        for memory in [0, 1, .max] as [UInt64] {
            for rings in [0, 1, .max] as [UInt64] {
                for count in [.min, 0, 1, .max] as [Int] {
                    for initial in [0, .max] as [UInt64] {
                        for keeps in [true, false] {
                            let budget = ReceiveBudget(
                                memory: memory, rings: rings, connections: count,
                                keepsListening: keeps, initial: initial)
                            #expect(budget.share >= 4096)
                        }
                    }
                }
            }
        }
        #expect(descriptorsNeeded(connections: .max, answers: true) > 1_000_000)
        #expect(descriptorsNeeded(connections: .min, answers: true) < 100)
    }

    @Test func ringsThatTakeAllMemoryAreReported() {
        let rings = RingDemand(["rx": 1024, "rx-jumbo": 0], queues: 2, pageSize: nil)
        #expect(rings.bytes == 8 << 20)
        #expect(rings.shortage(of: 16 << 20) == nil)
        let text = rings.shortage(of: 8 << 20)
        #expect(text?.contains("2 queues of 1024 buffers of 4.0 KiB take 8.0 MiB") == true)
        #expect(text?.hasSuffix("16M would do") == true)
        let jumbo = RingDemand(["rx": 511, "rx-jumbo": 2047], queues: 1, pageSize: 32768)
        #expect(jumbo.bytes == 2047 * 32768)
        #expect(RingDemand([:], queues: 1, pageSize: nil).shortage(of: 1) == nil)
        let absurd = RingDemand(["rx": .max], queues: .max, pageSize: .max)
        #expect(absurd.bytes == .max && absurd.shortage(of: 1) == nil)
    }
}

/// Peers cannot flood the log.
@Suite struct MessageLimitTests {
    @Test func aMessageIsLoggedOnceAMinute() {
        var limit = MessageLimit()
        let start = ContinuousClock.now
        let admitted = [0, 59, 60, 61].map { limit.admits(at: start + .seconds($0)) }
        #expect(admitted == [true, false, true, false])
    }
}
