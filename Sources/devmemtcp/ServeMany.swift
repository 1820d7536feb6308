import DevmemCore
import DevmemTools
import Glibc
import Synchronization

/// The name of an output file, which may contain placeholders for properties of a connection.
struct OutputName: Sendable {
    private let text: String

    init(_ text: String) {
        self.text = text
    }

    /// Whether the name depends on the connection.
    var isTemplate: Bool {
        // Two example connections with nothing in common.
        let first = IPAddress(bytes: [192, 0, 2, 1]).map { Endpoint(address: $0, port: 1) }
        let second = IPAddress(bytes: [192, 0, 2, 2]).map { Endpoint(address: $0, port: 2) }
        guard let first, let second else { return false }
        return path(number: 1, peer: first) != path(number: 2, peer: second)
    }

    /// Whether no two connections can get the same name. That holds if %n is followed by a
    /// non-digit, and what precedes it is the same for all connections. For other names it is not
    /// certain: with `%n%p`, connection 1 from port 11 and connection 11 from port 1 get the same
    /// name.
    var isUnique: Bool {
        var rest = text[...]
        while let percent = rest.firstIndex(of: "%") {
            let behind = rest[rest.index(after: percent)...]
            guard let kind = behind.first, !"ap".contains(kind) else { return false }
            rest = behind.dropFirst()
            guard kind == "n" else { continue }
            guard let next = rest.first else { return true }
            // `%%` stands for one percent sign.
            let isPlace = next == "%" && rest.dropFirst().first.map { "nap".contains($0) } ?? false
            return !isPlace && !next.isNumber
        }
        return false
    }

    /// Returns the name for one connection. %n is its number, %a the peer's address, %p the peer's
    /// port and %% a percent sign. Any other sequence is kept.
    func path(number: Int, peer: Endpoint) -> String {
        var result = ""
        var isEscaped = false
        for character in text {
            guard isEscaped else {
                if character == "%" { isEscaped = true } else { result.append(character) }
                continue
            }
            isEscaped = false
            switch character {
            case "n": result += "\(number)"
            case "a": result += "\(peer.address.unmapped)"
            case "p": result += "\(peer.port)"
            case "%": result += "%"
            default: result += "%\(character)"
            }
        }
        return isEscaped ? result + "%" : result
    }
}

/// Gives each connection its own output file. A name that an earlier connection used gets a numeric
/// suffix, so that no connection overwrites another's payload.
final class OutputNames: Sendable {
    let pattern: OutputName
    /// Whether used names are recorded to detect duplicates.
    private let keeps: Bool
    private let taken = Mutex<[String: Int]>([:])

    init(_ text: String) {
        pattern = OutputName(text)
        keeps = !pattern.isUnique
    }

    /// The number of recorded names.
    var kept: Int { taken.withLock { $0.count } }

    /// Returns a name that no other connection gets. Standard output is shared.
    func take(number: Int, peer: Endpoint) -> String {
        let wanted = pattern.path(number: number, peer: peer)
        guard wanted != "-", keeps else { return wanted }
        return taken.withLock { taken in
            var name = wanted
            while taken[name] != nil {
                let next = (taken[wanted] ?? 1) + 1
                taken[wanted] = next
                name = "\(wanted).\(next)"
            }
            taken[name] = 1
            return name
        }
    }
}

/// The totals of all connections of a session.
struct ServeTotal: Encodable {
    private enum CodingKeys: String, CodingKey {
        case version, connections, failed, bytes, placement
        case deviceBytes = "device_bytes"
        case stoppedBy = "stopped_by_signal"
    }

    let version = 1
    var connections = 0
    var failed = 0
    var bytes: UInt64 = 0
    var deviceBytes: UInt64 = 0
    var stoppedBy: Int32?
    var firstFailure: String?
    var placement: PayloadPlacement?
    private var counts = ReceiveCounts()
    private var reason: String?

    /// Returns why the session as a whole failed: no payload arrived in device memory, or some
    /// connections failed. Returns nil if it succeeded; a connection that a signal ended has not
    /// failed.
    func problem(allowsHostMemory: Bool) -> String? {
        if let failure = placement?.failure, !allowsHostMemory { return failure }
        guard failed > 0, stoppedBy == nil else { return nil }
        return "\(failed) of \(connections) connections failed, the first: \(firstFailure ?? "")"
    }

    mutating func add(_ report: ReceiveReport, failure: String?) {
        connections += 1
        bytes += report.counts.bytes
        deviceBytes += report.counts.deviceBytes
        counts.deviceBytes = deviceBytes
        counts.ordinaryBytes = bytes - deviceBytes
        reason = reason ?? report.placement?.reason
        placement = PayloadPlacement(counts, reason: reason)
        guard let failure else { return }
        failed += 1
        firstFailure = firstFailure ?? failure
    }
}

/// Formats one of several connections as text.
func line(of report: ReceiveReport, failure: String?) -> String {
    let result =
        failure ?? "\(counted(report.counts.bytes, "byte")) in \(fixed(report.seconds, 3)) s, "
        + "\(fixed(report.bytesPerSecond / 1e6, 1)) MB/s, "
        + "\(fixed(report.deviceShare * 100, 3)) % in device memory"
        + (report.answeredBytes.map { ", \(counted($0, "byte")) answered" } ?? "")
    return "connection \(report.connection ?? 1) from \(report.peer ?? "unknown"): \(result)\n"
}

/// Starts a timer that raises SIGALRM once.
func startTimer(seconds: Double) {
    var timer = itimerval()
    timer.it_value.tv_sec = Int(seconds)
    timer.it_value.tv_usec = Int((seconds - Double(Int(seconds))) * 1e6)
    setitimer(__itimer_which_t(ITIMER_REAL.rawValue), &timer, nil)
}
