import ArgumentParser
import DevmemCore
import DevmemTools
import Synchronization
import Testing

@testable import devmemtcp

@Suite struct ArgumentTests {
    @Test func remotePlacesAreRead() throws {
        #expect(RemoteArgument(argument: "netns:peer")?.place == .namespace("peer"))
        #expect(RemoteArgument(argument: "peer") == nil)
        for (text, endpoint) in [
            ("192.0.2.2", "192.0.2.2:5201"), ("192.0.2.2:7", "192.0.2.2:7"),
            ("2001:db8::2", "[2001:db8::2]:5201"), ("[2001:db8::2]:80", "[2001:db8::2]:80"),
        ] {
            #expect(try PeerArgument(argument: text)?.resolved()[0].description == endpoint)
        }
        #expect(PeerArgument(argument: "") == nil)
        #expect(PeerArgument(argument: "[2001:db8::2]") == nil)
    }

    @Test func validateTakesOnePeer() throws {
        let command = try Validate.parse([
            "eth1", "--remote", "ssh:host", "--filter", "a.*", "b", "--json",
        ])
        #expect(command.interface == "eth1")
        #expect(command.filter == ["a.*", "b"])
        #expect(throws: (any Error).self) {
            try Validate.parse(["--remote", "netns:a", "--peer", "192.0.2.2"])
        }
        #expect(throws: (any Error).self) { try Validate.parse(["eth1", "eth2"]) }
    }

    @Test func queuesAreSortedAndUnique() {
        #expect(QueueSelection(argument: "6-7")?.choice == .list([6, 7]))
        #expect(QueueSelection(argument: "7,1,6-7")?.choice == .list([1, 6, 7]))
        #expect(QueueSelection(argument: "0")?.choice == .list([0]))
        #expect(QueueSelection(argument: "last")?.choice == .last(1))
        #expect(QueueSelection(argument: "last 2")?.choice == .last(2))
        #expect(QueueSelection(argument: "auto")?.choice == .automatic(1))
        #expect(QueueSelection(argument: "auto 3")?.choice == .automatic(3))
    }

    @Test(arguments: [
        "", "a", "7-6", "1,,2", "1-2-3", "-1", "1-", "4294967296", "0-4294967295",
        "last 0", "last x", "last 1 2", "first 2", "auto -1",
    ])
    func otherQueuesAreRefused(text: String) {
        #expect(QueueSelection(argument: text) == nil)
    }

    @Test func serveTakesItsOptions() throws {
        let command = try #require(
            try Devmemtcp.parseAsRoot([
                "serve", "--interface", "eth1", "--listen", "192.0.2.1:5201", "--from",
                "192.0.2.2", "--queues", "6-7", "--memory", "32M", "--validate", "7", "--json",
            ]) as? Serve)
        #expect(command.interface == "eth1")
        #expect(command.listen.text.port == "5201")
        #expect(command.queues.choice == .list([6, 7]))
        #expect(command.buffer.memory.bytes == 32 << 20)
        #expect(command.expected?.pattern.bytes.count == 7)
        #expect(command.common.json)
    }

    @Test func peerArgumentHasOptionalPort() throws {
        func from(_ text: String) throws -> SourceArgument? {
            try (Devmemtcp.parseAsRoot(["serve", "--listen", ":1", "--from", text]) as? Serve)?.from
        }
        let host = try from("peer.example")
        #expect(host?.host == "peer.example" && host?.port == nil)
        let four = try from("192.0.2.2:4000")
        #expect(four?.host == "192.0.2.2" && four?.port == 4000)
        let six = try from("[2001:db8::2]:4000")
        #expect(six?.host == "2001:db8::2" && six?.port == 4000)
        #expect(try from("2001:db8::2")?.port == nil)
        #expect(try from("192.0.2.2:http")?.port == 80)
        #expect(try from("[2001:db8::2]:https")?.port == 443)
        for text in [
            "", ":4000", "192.0.2.2:0", "192.0.2.2:-1", "192.0.2.2:65616", "192.0.2.2:70000",
            "[2001:db8::2]", "a:b",
        ] {
            #expect(throws: (any Error).self) { try from(text) }
        }
    }

    @Test(arguments: [
        [], ["--listen", "192.0.2.1"], ["--listen", ":1", "--memory", "lots"],
        ["--listen", ":1", "--discard", "--output", "x"],
        ["--listen", ":1", "--discard", "--validate", "7"], ["--listen", ":1", "-v", "-q"],
        ["--listen", ":1", "--validate", "1"], ["--listen", ":1", "--no-such-option"],
        ["--listen", ":1", "--connections", "0"], ["--listen", ":1", "--connections", "2"],
        ["--listen", ":1", "--keep-open", "--output", "x"],
        ["--listen", ":1", "--duplex", "file:"],
        ["--listen", ":1", "--idle", "0"], ["--listen", ":1", "--time-limit", "-1"],
    ])
    func wrongUseEndsWith64(arguments: [String]) {
        #expect {
            _ = try Devmemtcp.parseAsRoot(["serve"] + arguments)
        } throws: {
            Devmemtcp.exitCode(for: $0).rawValue == 64
        }
    }
}

@Suite struct ConnectArgumentTests {
    @Test(arguments: [
        [], ["host"], [":80"], ["host:80", "--pattern", "7"], ["host:80", "--bytes", "7"],
        ["host:80", "--pattern", "7", "--bytes", "9", "--input", "x"], ["host:80", "--direct"],
        ["host:80", "--discard", "--output", "x"], ["host:80", "--chunk", "0"],
        ["host:80", "--wait", "-1"], ["host:80", "--bind", "[::1"],
    ])
    func wrongUseEndsWith64(arguments: [String]) {
        #expect {
            _ = try Devmemtcp.parseAsRoot(["connect"] + arguments)
        } throws: {
            Devmemtcp.exitCode(for: $0).rawValue == 64
        }
    }

    @Test func localAddressesAreRead() throws {
        #expect(try LocalAddressArgument(argument: "192.0.2.1")?.candidates()[0].port == 0)
        #expect(try LocalAddressArgument(argument: "192.0.2.1:9")?.candidates()[0].port == 9)
        #expect(
            try LocalAddressArgument(argument: "2001:db8::1")?.candidates()[0].description
                == "[2001:db8::1]:0")
        #expect(try LocalAddressArgument(argument: "[2001:db8::1]:9")?.candidates()[0].port == 9)
        #expect(LocalAddressArgument(argument: "") == nil)
    }
}

@Suite struct OutputNameTests {
    @Test func placesAreFilled() throws {
        let address = try #require(IPAddress(bytes: [192, 0, 2, 7]))
        let peer = Endpoint(address: address, port: 4000)
        #expect(
            OutputName("in-%n-%a-%p.bin").path(number: 3, peer: peer) == "in-3-192.0.2.7-4000.bin")
        #expect(OutputName("100%% %x%").path(number: 3, peer: peer) == "100% %x%")
        #expect(OutputName("%n").isTemplate && OutputName("%a").isTemplate)
        #expect(!OutputName("plain%%n").isTemplate)
    }
}

@Suite struct FlowArgumentTests {
    @Test func flowsAreRead() throws {
        let plain = try #require(FlowArgument(argument: "192.0.2.1:5201"))
        #expect(plain.destination.host == "192.0.2.1" && plain.source == nil)
        let any = try #require(FlowArgument(argument: ":80,192.0.2.2"))
        #expect(any.source?.host == "192.0.2.2" && any.source?.port == nil)
        let port = try #require(FlowArgument(argument: "192.0.2.1:80,192.0.2.2:9"))
        #expect(port.source?.host == "192.0.2.2" && port.source?.port == 9)
        let six = try #require(FlowArgument(argument: "[2001:db8::1]:80,[2001:db8::2]:9"))
        #expect(six.source?.host == "2001:db8::2" && six.source?.port == 9)
        let bare = try #require(FlowArgument(argument: "[2001:db8::1]:80,2001:db8::2"))
        #expect(bare.source?.host == "2001:db8::2" && bare.source?.port == nil)
        #expect(try six.resolved()[0].families[0][0].sourcePort == 9)
        #expect(try FlowArgument(argument: ":80")?.resolved().first?.families.count == 2)
        #expect(throws: DevmemError.self) {
            try FlowArgument(argument: "192.0.2.1:80,2001:db8::2")?.resolved()
        }
    }

    @Test(arguments: ["", "192.0.2.1", ":80,", ":80,192.0.2.1:x", ":80,:9", ":80,a,b", ":80,[::1"])
    func otherFlowsAreRefused(text: String) {
        #expect(FlowArgument(argument: text) == nil)
    }
}

@Suite struct NumberTests {
    @Test func decimalsAreRounded() {
        #expect(fixed(1.005, 1) == "1.0")
        #expect(fixed(99.9996, 3) == "100.000")
        #expect(fixed(0.05, 2) == "0.05")
        #expect(fixed(-1.25, 1) == "-1.3")
        #expect(fixed(12, 0) == "12")
    }
}

@Suite struct BindWordTests {
    @Test func queuesHaveTheOptionOfBind() {
        let error = AdviceStyle.$current.withValue(.of(Bind.self)) {
            DevmemError(
                .invalid, call: "choose queues of eth1",
                message: "queue 7 is bound; \(Advice.Parameter.queues) 5 would do",
                advice: "choose another with \(.queues)"
            ).description
        }
        #expect(
            error == "choose queues of eth1: queue 7 is bound; --rx 5 would do "
                + "(choose another with --rx)")
    }
}

@Suite struct ServeTotalTests {
    private func total(device: UInt64, failure: String? = nil, stoppedBy: Int32? = nil) throws
        -> ServeTotal
    {
        var report = try ReceiveReport.full
        report.counts = ReceiveCounts()
        report.counts.deviceBytes = device
        report.counts.ordinaryBytes = 9
        report.placement = PayloadPlacement(report.counts, reason: "a rule")
        var total = ServeTotal()
        total.add(report, failure: failure)
        total.stoppedBy = stoppedBy
        return total
    }

    /// A server that a signal ends still reports that no payload arrived in device memory.
    @Test func misplacementIsReportedDespiteSignal() throws {
        let text = "no payload came in device memory: a rule"
        #expect(try total(device: 0).problem(allowsHostMemory: false) == text)
        #expect(try total(device: 0, stoppedBy: 15).problem(allowsHostMemory: false) == text)
        #expect(try total(device: 0, stoppedBy: 15).problem(allowsHostMemory: true) == nil)
        #expect(try total(device: 1, stoppedBy: 15).problem(allowsHostMemory: false) == nil)
    }

    @Test func failedConnectionsAreCounted() throws {
        #expect(
            try total(device: 1, failure: "reset").problem(allowsHostMemory: false)
                == "1 of 1 connections failed, the first: reset")
        // Connections that the signal ended have not failed.
        #expect(
            try total(device: 1, failure: "reset", stoppedBy: 2).problem(allowsHostMemory: true)
                == nil)
    }
}

@Suite struct OutputNamesTests {
    private func peer(_ last: UInt8, _ port: UInt16) throws -> Endpoint {
        Endpoint(address: try #require(IPAddress(bytes: [192, 0, 2, last])), port: port)
    }

    @Test func noTwoConnectionsOfARunHaveOneFile() throws {
        let names = OutputNames("got.%a")
        #expect(names.take(number: 1, peer: try peer(2, 1)) == "got.192.0.2.2")
        #expect(names.take(number: 2, peer: try peer(2, 2)) == "got.192.0.2.2.2")
        #expect(names.take(number: 3, peer: try peer(3, 2)) == "got.192.0.2.3")
        #expect(names.take(number: 4, peer: try peer(2, 3)) == "got.192.0.2.2.3")
        // A name with a suffix may equal the name of another connection.
        let close = OutputNames("got.%p")
        var all: Set<String> = []
        for (number, port) in ([1, 1, 2, 1, 2] as [UInt16]).enumerated() {
            all.insert(close.take(number: number, peer: try peer(2, port)))
        }
        let tight = OutputNames("%n%p")
        all.insert(tight.take(number: 1, peer: try peer(2, 11)))
        all.insert(tight.take(number: 11, peer: try peer(2, 1)))
        #expect(all.count == 7)
        #expect(close.kept == 5 && tight.kept == 2)
        let everyone = OutputNames("-")
        for number in 1...2 { #expect(everyone.take(number: number, peer: try peer(2, 1)) == "-") }
    }
}

@Suite struct UniqueNameTests {
    /// A long-running server must not record names that cannot recur.
    @Test func uniqueNamesAreNotRecorded() throws {
        let address = try #require(IPAddress(bytes: [192, 0, 2, 2]))
        for pattern in ["%n", "in/%n.bin", "7%n-%a-%p", "100%%-%n", "%n%%", "%x%n%x"] {
            let names = OutputNames(pattern)
            #expect(names.pattern.isUnique, "\(pattern)")
            let all = Set(
                (1...1000).map {
                    names.take(
                        number: $0, peer: Endpoint(address: address, port: UInt16(2000 - $0)))
                })
            #expect(all.count == 1000 && names.kept == 0)
        }
        for pattern in ["%a", "%n%p", "%p%n", "%a.%n", "%n0", "%n%a", "plain", "%", "%%n", "100%%"]
        {
            #expect(!OutputName(pattern).isUnique, "\(pattern)")
        }
    }
}

/// The output on a terminal, in order.
private final class Screen: Sendable {
    private let texts = Mutex<[String]>([])

    var all: [String] { texts.withLock { $0 } }
    func write(_ text: String) { texts.withLock { $0.append(text) } }
}

@Suite struct LiveLineTests {
    private let clear = "\r\u{1b}[K"

    @Test func outputReplacesTheLiveLine() {
        let screen = Screen()
        let live = LiveLine { screen.write($0) }
        live.interrupt { screen.write("before") }
        live.show("1 s")
        live.show("2 s")
        live.interrupt { screen.write("a warning") }
        live.interrupt { screen.write("another") }
        live.show("3 s")
        live.interrupt()
        #expect(
            screen.all == [
                "before", clear + "1 s", clear + "2 s", clear, "a warning", "another",
                clear + "3 s",
                clear,
            ])
    }

    /// Control sequences reach the terminal unescaped.
    @Test func aBenchmarkWritesOverItsLine() {
        let screen = Screen()
        let progress = BenchProgress(
            BenchPlan(), showsLines: false, quiet: false, isTerminal: true,
            live: LiveLine { screen.write($0) })
        let sample = BenchSample(
            time: 1, seconds: 1, received: [0], sent: [0], user: 0, system: 0, softirq: 0)
        progress.update(sample)
        progress.finish()
        #expect(screen.all == [clear + liveLine(of: sample, left: nil), clear])
        let quiet = BenchProgress(
            BenchPlan(), showsLines: false, quiet: true, isTerminal: true,
            live: LiveLine { screen.write($0) })
        quiet.update(sample)
        quiet.finish()
        #expect(screen.all.count == 2)
    }
}

@Suite struct ProgressLineTests {
    @Test func timeLeftIsShownIfKnown() {
        var line = ProgressLine(bytes: 256 << 20, rate: 1_048_576, seconds: 64, total: 1 << 30)
        #expect(line.text == "256.0 MiB of 1.0 GiB  1.0 MiB/s  64 s  3:12 left")
        line.connections = 3
        line.total = nil
        #expect(line.text == "256.0 MiB  3 connections  1.0 MiB/s  64 s")
        line.connections = 1
        #expect(line.text == "256.0 MiB  1 connection  1.0 MiB/s  64 s")
        line.connections = 3
        line.limit = 4000
        #expect(line.text.hasSuffix("64 s  1:05:36 left"))
    }

    @Test func invalidNumbersDoNotTrap() {
        for bytes in [0, 1, .max] as [UInt64] {
            for total in [nil, 0, 1, .max] as [UInt64?] {
                for number in [-1, 0, 1e-300, 1e300, .infinity, .nan] as [Double] {
                    let line = ProgressLine(
                        bytes: bytes, rate: number, seconds: number, total: total,
                        limit: bytes == 1 ? number : nil)
                    #expect(!line.text.isEmpty)
                }
            }
        }
    }
}

@Suite struct PeerTimeoutArgumentTests {
    @Test func secondsOrOff() {
        #expect(PeerTimeoutArgument(argument: "off")?.timeout == .off)
        #expect(PeerTimeoutArgument(argument: "60")?.timeout == PeerTimeout(seconds: 60))
        for text in ["", "0", "1", "65535", "-5", "1.5", "99999999999999999999", "on"] {
            #expect(PeerTimeoutArgument(argument: text) == nil)
        }
    }
}

@Suite struct ThreadOptionTests {
    @Test func listNearOrAny() {
        #expect(ProcessorsArgument(argument: "near")?.choice == .near)
        #expect(ProcessorsArgument(argument: "any")?.choice == .any)
        #expect(ProcessorsArgument(argument: "4095,0-1")?.choice == .list([0, 1, 4095]))
        for text in ["", "4096", "0-4096", "last 2", "auto", "Near", "3-1", "-1", "1,"] {
            #expect(ProcessorsArgument(argument: text) == nil)
        }
        #expect(ProcessorsArgument(.near).defaultValueDescription == "near")
    }

    @Test func microseconds() {
        #expect(BusyPollTime(argument: "1")?.microseconds == 1)
        #expect(BusyPollTime(argument: "1000000")?.microseconds == 1_000_000)
        for text in ["", "0", "1000001", "-5", "1.5", "99999999999999999999", "50us"] {
            #expect(BusyPollTime(argument: text) == nil)
        }
    }

    @Test(
        arguments: [
            ("nk0", nil, "nk0"), ("blue/nk0", "blue", "nk0"),
            ("/proc/77/ns/net/nk0", "/proc/77/ns/net", "nk0"),
        ] as [(String, String?, String)])
    func lesseeHasANamespace(text: String, namespace: String?, interface: String) {
        let lessee = Lessee(argument: text)
        #expect(lessee?.namespace == namespace && lessee?.interface == interface)
        #expect(lessee?.text == text)
    }

    @Test(arguments: ["", "/", "/nk0", "blue/"]) func lesseeNeedsBothNames(text: String) {
        #expect(Lessee(argument: text) == nil)
    }
}
