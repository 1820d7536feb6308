import DevmemCore
import CDevmem
import Glibc
import SystemPackage

/// A connection on which the remote side sends a pattern into device memory.
struct DeviceStream: ~Copyable {
    let connection: Connection
    let bound: BoundMemory
    private let run: ValidationRun
    private let id: Int
    private var checker: PatternChecker

    /// Requests the pattern in writes of `segment` bytes, and waits until all `bytes` can be read.
    init(_ run: ValidationRun, bytes: UInt64, segment: Int) throws(DevmemError) {
        let pattern = try Pattern("\(ValidationPeerRequest.period)")
        let fixture = try run.fixture()
        let isIPv6 = run.peers.prefersIPv6
        guard let agent = run.peers.agent else {
            throw DevmemError(.invalid, call: "receive", message: "there is no peer")
        }
        let endpoint = try fixture.endpoint(ipv6: isIPv6)
        let id = try agent.ask(
            ValidationPeerRequest(
                id: 0, action: .send, address: endpoint.address.description, port: endpoint.port,
                from: run.peers.remote(ipv6: isIPv6)?.description, bytes: bytes, segment: segment))
        let connection = try fixture.accept(ipv6: isIPv6, for: run)
        let call = "receive from \(connection.peer)"
        try setOption(
            connection.socket, SOL_SOCKET, SO_RCVLOWAT, Int32(clamping: bytes), call)
        try run.stop.wait(
            for: connection.rawValue, events: Int32(POLLIN), milliseconds: caseTimeout, call)
        try setOption(connection.socket, SOL_SOCKET, SO_RCVLOWAT, 1, call)
        self.connection = connection
        bound = fixture.bound
        self.run = run
        self.id = id
        checker = PatternChecker(pattern)
    }

    /// The descriptor, for deliberately invalid calls.
    var number: Int32 { connection.rawValue }

    /// Receives once and compares the payload, which must be in device memory.
    mutating func take(dataSize: Int = 1 << 16, controlSize: Int = 1 << 14)
        throws(DevmemError) -> RawReceived
    {
        let received = try receive(dataSize: dataSize, controlSize: controlSize)
        try compare(received)
        return received
    }

    /// Receives once without a comparison.
    func receive(dataSize: Int, controlSize: Int = 1 << 14) throws(DevmemError) -> RawReceived {
        guard
            let received = try receiveRaw(
                from: number, bound, dataSize: dataSize, controlSize: controlSize)
        else { throw corrupt("the stream ended after \(checker.checkedBytes) bytes") }
        return received
    }

    /// Compares the next payload, which must be in device memory.
    mutating func compare(_ received: RawReceived) throws(DevmemError) {
        guard received.deviceBytes == received.count else {
            throw corrupt(
                "\(received.count - received.deviceBytes) of \(received.count) bytes did not arrive "
                    + "in device memory")
        }
        var checker = self.checker
        let ranges = received.places.map {
            MemoryRange(offset: Int($0.lowerBound), count: Int($0.upperBound - $0.lowerBound))
        }
        try bound.dmabuf.withDeviceBytes(in: ranges) { bytes throws(DevmemError) in
            for place in received.places {
                checker.check(
                    UnsafeRawBufferPointer(
                        rebasing: bytes[Int(place.lowerBound)..<Int(place.upperBound)]))
            }
        }
        self.checker = checker
        if let mismatch = checker.firstMismatch { throw corrupt(mismatch.description) }
    }

    /// Receives the rest of a stream of `bytes` in total, and returns all tokens.
    mutating func drain(to bytes: UInt64) throws(DevmemError) {
        while checker.checkedBytes < bytes {
            try run.stop.wait(
                for: number, events: Int32(POLLIN), milliseconds: caseTimeout,
                "receive byte \(checker.checkedBytes) of \(bytes)")
            try returnTokens(try take().tokens)
        }
    }

    /// Returns tokens; the kernel must accept each one.
    func returnTokens(_ tokens: [UInt32]) throws(DevmemError) {
        var batch = TokenBatch()
        for token in tokens where !batch.append(token) {
            try connection.returnTokens(&batch)
            _ = batch.append(token)
        }
        try connection.returnTokens(&batch)
    }

    private func corrupt(_ what: String) -> DevmemError {
        DevmemError(.corrupt, call: "receive from \(connection.peer)", message: what)
    }
}

extension ValidationCase {
    /// A case on a stream that has arrived completely. If the case passes, the payload that it left
    /// unread must be intact.
    static func onStream(
        _ family: String, _ name: String, _ title: String, bytes: UInt64,
        body: @escaping @Sendable (inout DeviceStream, Int32) throws(DevmemError) -> CaseVerdict
    ) -> ValidationCase {
        ValidationCase(family, name, title, needs: .receiving + [.remote]) {
            run throws(DevmemError) in
            var stream = try DeviceStream(run, bytes: bytes, segment: 4096)
            let number = stream.number
            let verdict = try body(&stream, number)
            if case .pass = verdict { try stream.drain(to: bytes) }
            return verdict
        }
    }
}
