import DevmemCore

extension ValidationCase {
    private static let family = "io-uring"

    /// Cases that receive with io_uring's zero-copy receive.
    static var ioUringCases: [ValidationCase] {
        [1, 1448, 4097, 65536].map { receive($0, ipv6: false) } + [receive(65536, ipv6: true)]
            + [
                severalConnections, severalQueues, fullRing, smallMemory,
                restartBeside(family, .ioUring, needs: [.ioUring]),
            ]
            + [bindAgain]
    }

    private static func receive(_ segment: Int, ipv6: Bool) -> ValidationCase {
        ValidationCase(
            family, "segments-of-\(segment)" + (ipv6 ? "-ipv6" : ""),
            "payload that the peer writes \(segment) bytes at a time arrives in device memory",
            needs: .receiving + [.ioUring, .peer(ipv6: ipv6)]
        ) { run throws(DevmemError) in
            let fixture = try run.fixture(ReceiveFixture.Kind(engine: .ioUring))
            return try run.receive(segment, total(segment), fixture, ipv6: ipv6)
        }
    }

    private static var severalConnections: ValidationCase {
        ValidationCase(
            family, "several-connections", "simultaneous connections on one queue do not mix",
            needs: .receiving + [.ioUring, .remote]
        ) { run throws(DevmemError) in
            try run.receiveSeveral(
                run.fixture(ReceiveFixture.Kind(listeners: 4, engine: .ioUring)), each: 1 << 20)
        }
    }

    private static var severalQueues: ValidationCase {
        ValidationCase(
            family, "several-queues", "each of two queues receives its connections",
            needs: .receiving + [.ioUring, .freeQueues(2), .remote]
        ) { run throws(DevmemError) in
            try run.receiveSeveral(
                run.fixture(ReceiveFixture.Kind(queues: 2, listeners: 4, engine: .ioUring)),
                each: 1 << 20)
        }
    }

    private static var fullRing: ValidationCase {
        stream(
            "full-ring", "nothing is lost when more completions wait than the ring holds",
            ReceiveFixture.Kind(engine: .ioUring, share: 0), bytes: 8 << 20)
    }

    private static var smallMemory: ValidationCase {
        // As much as the receive rings of the NICs take, and half as much again.
        stream(
            "small-memory", "memory smaller than the payload is used again and again",
            ReceiveFixture.Kind(
                engine: .ioUring, share: 2 << 20, unread: 2 << 20, memory: 24 << 20),
            bytes: 64 << 20)
    }

    /// A case that receives one stream of large writes.
    private static func stream(
        _ name: String, _ title: String, _ kind: ReceiveFixture.Kind, bytes: UInt64
    ) -> ValidationCase {
        ValidationCase(
            family, name, title, needs: .receiving + [.ioUring, .peer(ipv6: nil)]
        ) { run throws(DevmemError) in
            try run.receive(65536, bytes, run.fixture(kind), ipv6: run.peers.prefersIPv6)
        }
    }

    private static var bindAgain: ValidationCase {
        ValidationCase(
            family, "bind-again", "afterwards the queue can be bound, and receives by the socket",
            needs: .receiving + [.ioUring, .peer(ipv6: nil)]
        ) { run throws(DevmemError) in
            _ = try run.fixture(ReceiveFixture.Kind(engine: .ioUring))
            return try run.receive(65536, 1 << 20, run.fixture(), ipv6: run.peers.prefersIPv6)
        }
    }
}
