import DevmemCore
import DevmemTools
import Glibc
import Synchronization

/// The name of an output file, perhaps with places for what differs between connections.
struct OutputName: Sendable {
    private let text: String

    init(_ text: String) {
        self.text = text
    }

    /// Whether it differs between connections.
    var isTemplate: Bool {
        // Two made-up connections that have nothing in common.
        let first = IPAddress(bytes: [192, 0, 2, 1]).map { Endpoint(address: $0, port: 1) }
        let second = IPAddress(bytes: [192, 0, 2, 2]).map { Endpoint(address: $0, port: 2) }
        guard let first, let second else { return false }
        return path(number: 1, peer: first) != path(number: 2, peer: second)
    }

    /// Whether no two connections can have one name, as each number stands between what is no digit and
    /// behind what is the same in all. Of others it cannot be told: with `%n%p` the connections 1 and
    /// 11 from ports 11 and 1 have the same.
    var isUnique: Bool {
        var rest = text[...]
        while let percent = rest.firstIndex(of: "%") {
            let behind = rest[rest.index(after: percent)...]
            guard let kind = behind.first, !"ap".contains(kind) else { return false }
            rest = behind.dropFirst()
            guard kind == "n" else { continue }
            guard let next = rest.first else { return true }
            // Two percent signs stand for one.
            let isPlace = next == "%" && rest.dropFirst().first.map { "nap".contains($0) } ?? false
            return !isPlace && !next.isNumber
        }
        return false
    }

    /// The name for one connection: %n is its number, %a the peer's address, %p the peer's port, %%
    /// a percent sign. Any other stays as it is.
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

/// Gives each connection of a run a file of its own. A name that an earlier one had gets a number
/// behind it, as nobody wants one connection's payload written over another's.
final class OutputNames: Sendable {
    let pattern: OutputName
    /// Whether names must be kept to tell those that were given away.
    private let keeps: Bool
    private let taken = Mutex<[String: Int]>([:])

    init(_ text: String) {
        pattern = OutputName(text)
        keeps = !pattern.isUnique
    }

    /// How many names it keeps.
    var kept: Int { taken.withLock { $0.count } }

    /// The name for a connection, which no other gets. Standard output is for all.
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

/// What all connections of a session did together.
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

    /// What is wrong with all connections together: none of their payload came in device memory, or
    /// some failed. Nil if nothing is; a signal is no failure of those that it ended.
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

/// One of several connections, for people.
func line(of report: ReceiveReport, failure: String?) -> String {
    let result =
        failure ?? "\(report.counts.bytes) bytes in \(fixed(report.seconds, 3)) s, "
        + "\(fixed(report.bytesPerSecond / 1e6, 1)) MB/s, "
        + "\(fixed(report.deviceShare * 100, 3)) % in device memory"
        + (report.answeredBytes.map { ", \($0) bytes answered" } ?? "")
    return "connection \(report.connection ?? 1) from \(report.peer ?? "unknown"): \(result)\n"
}

/// Has the kernel send SIGALRM once, after so long.
func startTimer(seconds: Double) {
    var timer = itimerval()
    timer.it_value.tv_sec = Int(seconds)
    timer.it_value.tv_usec = Int((seconds - Double(Int(seconds))) * 1e6)
    setitimer(__itimer_which_t(ITIMER_REAL.rawValue), &timer, nil)
}
