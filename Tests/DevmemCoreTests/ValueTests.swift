import SystemPackage
import Testing

@testable import DevmemCore

@Suite struct ByteCountTests {
    @Test(
        arguments: [
            ("0", 0), ("4096", 4096), ("64K", 65536), ("64k", 65536), ("64M", 64 << 20),
            ("64MiB", 64 << 20), ("64MB", 64 << 20), ("1G", 1 << 30), ("2T", 2 << 40),
        ] as [(String, UInt64)])
    func readsSizes(text: String, bytes: UInt64) {
        #expect((try? ByteCount.read(text)) == bytes)
    }

    @Test(arguments: [
        "", "M", "-1", "+1", "1.5M", "64X", "64iB", "64B", "0x10", " 64", "64 M", "64MM",
        "99999999999999999999", "99999999999T",
    ])
    func refusesTheRest(text: String) {
        #expect((try? ByteCount.read(text)) == nil)
    }

    @Test func writesSizes() {
        #expect(ByteCount.text(512) == "512 B")
        #expect(ByteCount.text(64 << 20) == "64.0 MiB")
        #expect(ByteCount.text(1536) == "1.5 KiB")
    }
}

@Suite struct MemoryProviderTests {
    @Test func providersAreReadAsTheyAreWritten() {
        for provider in [
            MemoryProvider.automatic, .udmabuf, .heap("system"), .heap("default_cma_region"),
        ] {
            #expect(MemoryProvider(provider.description) == provider)
        }
        for text in ["", "heap", "heap:", "heap:../x", "cuda:"] {
            #expect(MemoryProvider(text) == nil)
        }
    }
}

@Suite struct EndpointTests {
    @Test(arguments: ["*:80", ":80", "[*]:80", "[::1]:80", "[name]:80", "name:http"])
    func endpointsAreReadAsTheyAreWritten(text: String) throws {
        let endpoint = try EndpointText(text)
        #expect(try EndpointText(endpoint.description) == endpoint)
    }

    @Test(arguments: [
        ("192.0.2.1:5201", "192.0.2.1", "5201"), ("[2001:db8::1]:5201", "2001:db8::1", "5201"),
        ("[fe80::1%eth1]:http", "fe80::1%eth1", "http"), (":5201", "", "5201"),
        ("*:5201", "", "5201"), ("host.example:0", "host.example", "0"),
    ])
    func takesTextApart(text: String, host: String, port: String) throws {
        let endpoint = try EndpointText(text)
        #expect(endpoint.host == host)
        #expect(endpoint.port == port)
    }

    @Test(arguments: [
        "", "192.0.2.1", "192.0.2.1:", "2001:db8::1:5201", "[2001:db8::1]", "[]:1", "[::1:5201",
        "[[p]:1", "[[::1]]:1", "a]b:1", "a[:1",
        "host:65536", "host:-1", "host: 70000", "host:+70000", "host:\t70000", "host:--1",
        "host:18446744073709551617", "host: 18446744069414584321",
    ])
    func refusesTheRest(text: String) {
        #expect(throws: DevmemError.self) { try EndpointText(text) }
    }

    /// The C library would truncate them.
    @Test(arguments: ["65536", " 70000", "+70000", "-1", "18446744069414584321"])
    func portsAreNotTruncated(text: String) {
        #expect(Endpoint.port(named: text) == nil)
        #expect(Endpoint.port(named: "65535") == 65535 && Endpoint.port(named: " 80") == 80)
    }

    @Test func looksUpNumbers() throws {
        let four = try Endpoint(resolving: EndpointText("192.0.2.1:5201"))
        #expect(four.address.bytes == [192, 0, 2, 1])
        #expect(four.port == 5201)
        #expect(four.description == "192.0.2.1:5201")
        let six = try Endpoint(resolving: EndpointText("[2001:db8::1]:80"))
        #expect(six.description == "[2001:db8::1]:80")
        #expect(try Endpoint(resolving: EndpointText(":80")).address.isWildcard)
        let scoped = try Endpoint(resolving: EndpointText("[fe80::1%lo]:80"))
        #expect(scoped.scope == 1)
        #expect(scoped.description == "[fe80::1%lo]:80")
    }

    @Test func socketAddressHoldsTheEndpoint() throws {
        for text in ["192.0.2.1:5201", "[fe80::1%lo]:80"] {
            let endpoint = try Endpoint(resolving: EndpointText(text))
            let copy = endpoint.withSocketAddress { address, _ in Endpoint(address) }
            #expect(copy == endpoint)
        }
    }

    @Test func mappedAddressIsIPv4() throws {
        let mapped = try Endpoint(resolving: EndpointText("[::ffff:192.0.2.1]:1")).address
        #expect(mapped.isIPv6)
        #expect(mapped.unmapped.bytes == [192, 0, 2, 1])
    }
}

@Suite struct QueueListTests {
    @Test func runsAreShortened() {
        #expect(queueList([7, 6]) == "6-7")
        #expect(queueList([0, 2, 3, 4, 9]) == "0,2-4,9")
        #expect(queueList([5, 5]) == "5")
        #expect(queueList([.max, .max - 1]) == "4294967294-4294967295")
        #expect(queueList([]) == "")
    }
}

@Suite struct PayloadExtentsTests {
    @Test func neighboursAreJoined() {
        var extents = PayloadExtents(capacity: 8)
        extents.append(.device, offset: 4096, length: 100)
        extents.append(.device, offset: 4196, length: 50)
        extents.append(.host, offset: 4246, length: 5)
        extents.append(.host, offset: 0, length: 0)
        extents.append(.device, offset: 0, length: 1)
        #expect(
            extents.extents == [
                .init(source: .device, offset: 4096, length: 150),
                .init(source: .host, offset: 4246, length: 5),
                .init(source: .device, offset: 0, length: 1),
            ])
        #expect(extents.hasDeviceBytes)
        extents.removeAll()
        #expect(extents.extents.isEmpty && !extents.hasDeviceBytes)
    }

    /// Fragments give the same extents in one call as one after the other.
    @Test(arguments: [[], [4196], [0], [4196, 4206, 4216], [0, 10, 4196, 30, 20, 30, 40]])
    func aBatchIsJoinedLikeItsFragments(offsets: [Int]) {
        for source in [PayloadExtent.Source.device, .host, nil] {
            var single = PayloadExtents(capacity: 8)
            if let source { single.append(source, offset: 4096, length: 100) }
            var batch = single
            var fragments = offsets.map { ZerocopyFragment(offset: $0, length: 10) }
            for offset in offsets { single.append(.device, offset: offset, length: 10) }
            fragments.withUnsafeMutableBufferPointer { batch.append($0) }
            #expect(batch.extents == single.extents)
        }
    }
}

@Suite struct ErrorTests {
    @Test func descriptionIsOneLine() {
        let error = DevmemError(
            .netlink, call: "bind-rx on eth1", errno: .notPermitted, message: "text",
            attribute: "fd", advice: "run as root")
        #expect(
            error.description
                == "bind-rx on eth1: Operation not permitted, text, attribute fd (run as root)")
        #expect(error.advising("other") == error)
        #expect(
            DevmemError(.system, call: "receive", errno: .init(rawValue: 525)).description
                == "receive: control buffer too small (errno 525)")
    }
}

@Suite struct PollEventsTests {
    private struct Case {
        var events: PollEvents
        var reading = false
        var writing = false
        var failure = false
    }

    @Test func eventsSayWhatDoesNotBlock() {
        for expected in [
            Case(events: .input, reading: true), Case(events: .output, writing: true),
            Case(events: .failure, reading: true, failure: true),
            Case(events: .hangUp, reading: true), Case(events: []),
            Case(events: [.input, .output], reading: true, writing: true),
        ] {
            #expect(expected.events.allowReading == expected.reading)
            #expect(expected.events.allowWriting == expected.writing)
            #expect(expected.events.reportFailure == expected.failure)
        }
    }
}

@Suite struct LinesTests {
    /// In a `String` a carriage return and a newline are one character, which no split at newlines
    /// finds.
    @Test func aCarriageReturnEndsNoLine() {
        let text = Array("Name:\tx\r\nCapEff:\t0\n\nlast".utf8) + [0xff]
        #expect(lines(in: text) == ["Name:\tx\r", "CapEff:\t0", "last\u{fffd}"])
        #expect(lines(in: []) == [])
    }
}
