import CDevmem
import Glibc
import SystemPackage

/// Tells every process of this network namespace that this one uses the steering of a NIC, for as
/// long as it lives.
///
/// Containers may share a network namespace and see different files. So it is a socket of an abstract
/// name (unix(7)), which the network namespace scopes and the kernel removes. Whose it is the kernel
/// tells, and only root's and one's own count: a name that anyone else has taken neither keeps a
/// NIC from being steered nor is told as its owner.
///
/// Names end at random, so that nobody can take one in advance. Whoever claims first publishes, then
/// looks at what others have published; of two at the same time at least one withdraws.
struct SteeringClaim: ~Copyable {
    /// Who has published a claim.
    struct Holder: Equatable, Sendable {
        /// Its pid; nil if it is not visible from here: of another pid namespace, or to this user.
        var pid: Int32?

        /// Who it is, in words.
        var text: String {
            guard let pid else { return "a process not visible from here" }
            return "\(nameOfProcess(pid) ?? "a process"), pid \(pid)"
        }
    }

    /// How often it is tried again when others are there.
    private static let attempts = 4

    private let socket: Descriptor
    /// Whether claims of others could be seen; a kernel without unix_diag does not show them.
    let seesOthers: Bool

    /// Publishes a claim that goes with those of others.
    ///
    /// - Parameters:
    ///   - key: the NIC.
    ///   - shared: whether it goes with other shared ones.
    ///   - name: the NIC's name, for messages.
    /// - Throws: `DevmemError` of kind `invalid` with EBUSY and the holder's pid if another process has
    ///   claimed it; `system` or `netlink` if that cannot be found out.
    init(_ key: JournalStore.Key, shared: Bool, name: String) throws(DevmemError) {
        var attempt = 1
        while true {
            let own = ClaimName(key, isShared: shared, tag: .random(in: 0...(.max)))
            let socket = try Self.publish(own)
            let published = try Self.look(for: name)
            let rivals = (published ?? PublishedClaims()).rivals(of: own)
            guard !rivals.isEmpty else {
                self.socket = socket
                seesOthers = published != nil
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

    /// Nobody writes to the socket: its name is all that it is for.
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

/// The claims of this network namespace that count, as of one look.
struct PublishedClaims: Sendable {
    private struct Claim: Sendable {
        var name: ClaimName
        /// The inode of its socket.
        var inode: UInt64
    }

    private var claims: [Claim] = []

    /// None.
    init() {}

    /// Those among sockets that are believed: root's and a user's own. Pure.
    init(_ sockets: [UnixSocket], user: uid_t) {
        for socket in sockets where socket.user == 0 || socket.user == user {
            guard let name = ClaimName(bytes: socket.name) else { continue }
            claims.append(Claim(name: name, inode: socket.inode))
        }
    }

    /// Looks.
    ///
    /// - Returns: the claims; nil if the kernel has no unix_diag, and does not tell.
    /// - Throws: `DevmemError` of kind `netlink` or `malformed` if the sockets cannot be listed.
    static func all() throws(DevmemError) -> PublishedClaims? {
        try UnixSocket.all().map { PublishedClaims($0, user: geteuid()) }
    }

    var isEmpty: Bool { claims.isEmpty }

    /// The NICs that are claimed.
    var keys: Set<JournalStore.Key> { Set(claims.map(\.name.key)) }

    /// Those of NICs of a network namespace; names may hold any number.
    func of(_ namespace: UInt64) -> PublishedClaims {
        var some = self
        some.claims.removeAll { $0.name.key.namespace != namespace }
        return some
    }

    /// Those that keep a claim from being had.
    func rivals(of own: ClaimName) -> PublishedClaims {
        var rivals = self
        rivals.claims.removeAll {
            $0.name.key != own.key || $0.name == own || own.isShared && $0.name.isShared
        }
        return rivals
    }

    /// Who has published them. Looking through procfs takes long where there are many processes; it is
    /// done once for all, and only if there are any.
    ///
    /// - Parameter processes: lists the processes whose descriptors can be seen.
    /// - Returns: a holder for each NIC that is claimed.
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
            // Of several one that can be named.
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

    /// Reads the name of a socket, the zero that abstract ones begin with among it; nil if it is not
    /// exactly the name of a claim.
    init?(bytes: [UInt8]) {
        guard bytes.first == 0 else { return nil }
        let rest = Substring(decoding: bytes.dropFirst(), as: UTF8.self)
        let parts = rest.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 4, parts[0] == Self.prefix,
            let key = JournalStore.Key(fileName: parts[1]),
            parts[2] == "shared" || parts[2] == "exclusive", let tag = UInt64(parts[3], radix: 16)
        else { return nil }
        self.init(key, isShared: parts[2] == "shared", tag: tag)
        // One that is written otherwise is another name.
        guard self.bytes == bytes else { return nil }
    }

    /// The name as the kernel has it.
    var bytes: [UInt8] { [0] + Array(text.utf8) }

    var text: String {
        "\(Self.prefix)/\(key.fileName)/\(isShared ? "shared" : "exclusive")/"
            + String(tag, radix: 16)
    }
}
