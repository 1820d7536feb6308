import CDevmem
import Foundation
import Glibc
import TestSupport
import Testing

@testable import DevmemCore

/// Messages to a service manager, which is a socket here.
@Suite(.timeLimit(.minutes(1))) final class ReadinessTests {
    private let path = FileManager.default.temporaryDirectory
        .appending(path: "devmemtcp-notify-\(UUID().uuidString)").path
    private let manager: Descriptor

    init() throws {
        let number = try retrying("socket") { socket(AF_UNIX, cdm_SOCK_DGRAM, 0) }
        manager = Descriptor(owning: number)
        let address = try #require(UnixAddress(path))
        try retrying("bind") { address.withSocketAddress { bind(number, $0, $1) } }
    }

    deinit { unlink(path) }

    private func readiness(milliseconds: Int32) -> Readiness {
        Readiness(environment: ["NOTIFY_SOCKET": path], milliseconds: milliseconds)
    }

    private func message() -> String {
        var bytes = [UInt8](repeating: 0, count: 256)
        let count = recv(manager.rawValue, &bytes, bytes.count, Int32(cdm_MSG_DONTWAIT))
        return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
    }

    @Test func theManagerGetsTheState() throws {
        let readiness = readiness(milliseconds: 10_000)
        try readiness.ready(status: "bound")
        #expect(message() == "READY=1\nSTATUS=bound")
        try readiness.stopping()
        #expect(message() == "STOPPING=1")
    }

    @Test func withoutAManagerNothingIsSent() throws {
        try Readiness(environment: [:]).ready(status: "bound")
        #expect(message() == "")
    }

    @Test func aManagerThatDoesNotReadIsGivenUp() throws {
        let readiness = readiness(milliseconds: 10)
        var sent = 0
        // The kernel keeps net.unix.max_dgram_qlen messages, 10 or 512 by default.
        let error = #expect(throws: DevmemError.self) {
            while sent < 100_000 {
                try readiness.stopping()
                sent += 1
            }
        }
        #expect(error?.errno == .resourceTemporarilyUnavailable)
        #expect(sent > 0)
    }
}
