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

    /// Publishes a claim that goes with those of others.
    ///
    /// - Parameters:
    ///   - key: the NIC.
    ///   - shared: whether it goes with other shared ones.
    ///   - name: the NIC's name, for messages.
    /// - Throws: `DevmemError` of kind `invalid` with EBUSY and the holder's pid if another process has
    ///   claimed it.
    init(_ key: JournalStore.Key, shared: Bool, name: String) throws(DevmemError) {
        var attempt = 1
        while true {
            let own = ClaimName(key, isShared: shared, tag: .random(in: 0...(.max)))
            let socket = try Self.publish(own)
            let rivals = Self.published(for: key).filter {
                $0.name != own && !(shared && $0.name.isShared)
            }
            guard let holder = rivals.lazy.compactMap(Self.holder).first else {
                self.socket = socket
                return
            }
            guard attempt < Self.attempts else { throw SteeringLock.inUse(name, by: holder) }
            attempt += 1
            _ = consume socket
            usleep(.random(in: 5_000...40_000))
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
        try name.withAddress { address, length throws(DevmemError) in
            try retrying(call) { bind(number, address, length) }
        }
        return socket
    }

    /// Who uses the steering of a NIC; nil if nobody does.
    static func holder(of key: JournalStore.Key) -> Holder? {
        published(for: key).lazy.compactMap(holder).first
    }

    /// The NICs of this network namespace that are claimed, by whomever.
    static func keys() -> Set<JournalStore.Key> {
        Set(published().filter { holder(of: $0) != nil }.map(\.name.key))
    }

    /// A name that some process has bound, and its socket's inode.
    private struct Published {
        var name: ClaimName
        var inode: UInt64
    }

    private static func published(for key: JournalStore.Key? = nil) -> [Published] {
        unixSocketLines().compactMap { line in
            // 0000000000000000: 00000002 00000000 00010000 0005 01 25613 @devmemtcp/...
            let fields = line.split(separator: " ")
            guard fields.count == 8, let inode = UInt64(fields[6]),
                let name = ClaimName(listed: fields[7]), key == nil || name.key == key
            else { return nil }
            return Published(name: name, inode: inode)
        }
    }

    private static func unixSocketLines() -> [Substring] {
        let path = "/proc/net/unix"
        // Whoever opens many sockets must not push others' out of sight.
        guard let descriptor = try? Descriptor.open(path, O_RDONLY),
            let bytes = try? contents(of: descriptor, limit: 1 << 28, call: "read \(path)")
        else { return [] }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n")
    }

    /// Who has published a name; nil if nobody has any more, or nobody to be believed.
    private static func holder(of claim: Published) -> Holder? {
        let process = ProcessDescriptors.all(withOwn: true).first {
            $0.sockets.contains(claim.inode)
        }
        do throws(DevmemError) {
            guard let owner = try ownerOfUnixSocket(claim.inode) else { return nil }
            return isTrusted(owner) ? Holder(pid: process?.pid) : nil
        } catch {
            // A kernel without unix_diag tells nothing; of a process that is seen procfs does.
            guard let process else { return Holder(pid: nil) }
            return effectiveUser(ofProcess: process.pid).map(isTrusted) == true
                ? Holder(pid: process.pid) : nil
        }
    }

    /// Whether a user's word on what is steered counts: root's, or one's own.
    private static func isTrusted(_ user: uid_t) -> Bool { user == 0 || user == geteuid() }
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

    /// Reads a name as `/proc/net/unix` lists it, with `@` for the zero that abstract ones begin with.
    init?(listed text: Substring) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 4, parts[0] == "@" + Self.prefix,
            let key = JournalStore.Key(fileName: parts[1]),
            parts[2] == "shared" || parts[2] == "exclusive", let tag = UInt64(parts[3], radix: 16)
        else { return nil }
        self.init(key, isShared: parts[2] == "shared", tag: tag)
        // One that is written otherwise is another name.
        guard "@" + self.text == text else { return nil }
    }

    var text: String {
        "\(Self.prefix)/\(key.fileName)/\(isShared ? "shared" : "exclusive")/"
            + String(tag, radix: 16)
    }

    /// Lends it as the kernel takes it.
    func withAddress(
        _ body: (UnsafePointer<sockaddr>, socklen_t) throws(DevmemError) -> Void
    ) throws(DevmemError) {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = [0] + Array(text.utf8)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes.prefix($0.count)) }
        let start = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? 2
        let length = socklen_t(start + bytes.count)
        try withUnsafePointer(to: &address) { pointer throws(DevmemError) in
            try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                address throws(DevmemError) in try body(address, length)
            }
        }
    }
}
