import CDevmem
import Glibc
import SystemPackage

/// A claim on a NIC's steering that every process of the network namespace can see while this
/// process lives.
///
/// Containers may share a network namespace but not files. So the claim is a socket with an
/// abstract name (unix(7)), which is scoped to the network namespace and removed by the kernel. The
/// kernel reports its owner, and only claims of root and of the same user count: a name taken by
/// another user neither blocks steering nor is reported as the holder.
///
/// Names end in a random tag, so nobody can occupy one in advance. A process first publishes its
/// claim and then looks for others; of two that claim at the same time at least one withdraws.
struct SteeringClaim: ~Copyable {
    /// The process that published a claim.
    struct Holder: Equatable, Sendable {
        /// Its pid; nil if it is not visible, for example from another pid namespace.
        var pid: Int32?

        /// The process in words.
        var text: String {
            guard let pid else { return "a process not visible from here" }
            return "\(nameOfProcess(pid) ?? "a process"), pid \(pid)"
        }
    }

    /// How many attempts are made while other claims exist.
    private static let attempts = 4

    private let socket: Descriptor
    /// Whether other claims are visible; a kernel without unix_diag does not show them.
    let canSeeOthers: Bool

    /// Publishes a claim that is compatible with those of others.
    ///
    /// - Parameters:
    ///   - key: the NIC.
    ///   - shared: whether it is compatible with other shared claims.
    ///   - name: the NIC's name, for messages.
    /// - Throws: `DevmemError` of kind `invalid` with EBUSY and the holder's pid if another process
    ///   has claimed the NIC; of kind `system` or `netlink` if the kernel does not answer.
    init(_ key: JournalStore.Key, shared: Bool, name: String) throws(DevmemError) {
        var attempt = 1
        while true {
            let own = ClaimName(key, isShared: shared, tag: .random(in: 0...(.max)))
            let socket = try Self.publish(own)
            let published = try Self.look(for: name)
            let rivals = (published ?? PublishedClaims()).rivals(of: own)
            guard !rivals.isEmpty else {
                self.socket = socket
                canSeeOthers = published != nil
                return
            }
            guard attempt < Self.attempts else {
                throw SteeringLock.inUse(name, by: rivals.holders()[key])
            }
            attempt += 1
            _ = consume socket
            usleep(.random(in: 5_000...40_000))
        }
    }

    private static func look(for name: String) throws(DevmemError) -> PublishedClaims? {
        do throws(DevmemError) {
            return try PublishedClaims.all()
        } catch {
            var unknown = error
            unknown.operation =
                "find out whether another process steers \(name): \(error.operation)"
            throw unknown.advising("nothing was changed; try again")
        }
    }

    /// Creates the socket. Only its name matters, so it is shut down for data.
    private static func publish(_ name: ClaimName) throws(DevmemError) -> Descriptor {
        let call = "claim a NIC in this network namespace"
        let number = try retrying(call) {
            Glibc.socket(AF_UNIX, cdm_SOCK_DGRAM | cdm_SOCK_CLOEXEC, 0)
        }
        let socket = Descriptor(owning: number)
        shutdown(number, Int32(SHUT_RDWR))
        guard let address = UnixAddress("@" + name.text) else {
            throw DevmemError(.invalid, call: call, message: "the name \(name.text) is too long")
        }
        try retrying(call) { address.withSocketAddress { bind(number, $0, $1) } }
        return socket
    }
}

/// The valid claims in this network namespace at one moment.
struct PublishedClaims: Sendable {
    private struct Claim: Sendable {
        var name: ClaimName
        /// The inode of its socket.
        var inode: UInt64
    }

    private var claims: [Claim] = []

    /// Creates an empty set.
    init() {}

    /// Selects the claims among sockets of root and of the user. Pure.
    init(_ sockets: [UnixSocket], user: uid_t) {
        for socket in sockets where socket.user == 0 || socket.user == user {
            guard let name = ClaimName(bytes: socket.name) else { continue }
            claims.append(Claim(name: name, inode: socket.inode))
        }
    }

    /// Asks the kernel.
    ///
    /// - Returns: the claims; nil if the kernel has no unix_diag.
    /// - Throws: `DevmemError` of kind `netlink` or `system` if the request fails.
    static func all() throws(DevmemError) -> PublishedClaims? {
        try UnixSocket.all().map { PublishedClaims($0, user: geteuid()) }
    }

    var isEmpty: Bool { claims.isEmpty }

    /// The claimed NICs.
    var keys: Set<JournalStore.Key> { Set(claims.map(\.name.key)) }

    /// Returns the claims on NICs of one network namespace; a name may contain any namespace.
    func of(_ namespace: UInt64) -> PublishedClaims {
        var some = self
        some.claims.removeAll { $0.name.key.namespace != namespace }
        return some
    }

    /// Returns the claims that conflict with one.
    func rivals(of own: ClaimName) -> PublishedClaims {
        var rivals = self
        rivals.claims.removeAll {
            $0.name.key != own.key || $0.name == own || own.isShared && $0.name.isShared
        }
        return rivals
    }

    /// Finds the processes that hold the claims. A scan of procfs takes long on hosts with many
    /// processes; there is one for all claims, and none without claims.
    ///
    /// - Parameter processes: lists the processes whose descriptors are visible.
    /// - Returns: a holder for each claimed NIC.
    func holders(
        among processes: () -> [ProcessDescriptors] = { ProcessDescriptors.all(withOwn: true) }
    ) -> [JournalStore.Key: SteeringClaim.Holder] {
        guard !isEmpty else { return [:] }
        var pids: [UInt64: Int32] = [:]
        let wanted = Set(claims.map(\.inode))
        for process in processes() {
            for inode in process.sockets.intersection(wanted) where pids[inode] == nil {
                pids[inode] = process.pid
            }
        }
        return claims.reduce(into: [:]) { holders, claim in
            let pid = pids[claim.inode]
            // Of several holders, prefer one with a known pid.
            if holders[claim.name.key]?.pid == nil {
                holders[claim.name.key] = SteeringClaim.Holder(pid: pid)
            }
        }
    }
}

/// The abstract name of a claim: `devmemtcp/netns-1-interface-4/exclusive/1f4a...`.
struct ClaimName: Equatable, Sendable {
    private static let prefix = "devmemtcp"

    var key: JournalStore.Key
    var isShared: Bool
    var tag: UInt64

    init(_ key: JournalStore.Key, isShared: Bool, tag: UInt64) {
        self.key = key
        self.isShared = isShared
        self.tag = tag
    }

    /// Parses the name of a socket, including the leading zero byte of abstract names; nil if it is
    /// not exactly the name of a claim.
    init?(bytes: [UInt8]) {
        guard bytes.first == 0 else { return nil }
        let rest = Substring(decoding: bytes.dropFirst(), as: UTF8.self)
        let parts = rest.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 4, parts[0] == Self.prefix,
            let key = JournalStore.Key(fileName: parts[1]),
            parts[2] == "shared" || parts[2] == "exclusive", let tag = UInt64(parts[3], radix: 16)
        else { return nil }
        self.init(key, isShared: parts[2] == "shared", tag: tag)
        // Accept the canonical spelling only.
        guard self.bytes == bytes else { return nil }
    }

    /// The name as the kernel stores it.
    var bytes: [UInt8] { [0] + Array(text.utf8) }

    var text: String {
        "\(Self.prefix)/\(key.fileName)/\(isShared ? "shared" : "exclusive")/"
            + String(tag, radix: 16)
    }
}
