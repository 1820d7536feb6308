import Glibc

/// What a process has open, as far as it tells who may hold a NIC's memory.
package struct ProcessDescriptors: Equatable, Sendable {
    /// Its process id.
    package var pid: Int32
    /// Its name (`/proc/PID/comm`).
    package var name: String
    /// The inodes of its sockets.
    package var sockets: Set<UInt64> = []
    /// Whether it has a dma-buf open.
    package var hasDmabuf = false

    /// Takes what a link in `/proc/PID/fd` leads to: `socket:[812]`, or `/dmabuf:` and the buffer's
    /// name (`dmabuffs_dname` of drivers/dma-buf/dma-buf.c).
    mutating func note(_ link: Substring) {
        if link.hasPrefix("/dmabuf:") {
            hasDmabuf = true
        } else if link.hasPrefix("socket:["), let inode = UInt64(link.dropFirst(8).dropLast()) {
            sockets.insert(inode)
        }
    }

    /// Every process whose descriptors may be looked at, by pid; without CAP_SYS_PTRACE these are the
    /// user's own.
    ///
    /// - Parameter own: whether this process is among them.
    /// - Returns: the processes.
    package static func all(withOwn own: Bool = false) -> [ProcessDescriptors] {
        let all = names(in: "/proc").compactMap { Int32($0) }.filter { own || $0 != getpid() }
        return all.sorted().compactMap { pid in
            let folder = "/proc/\(pid)/fd"
            let links = names(in: folder)
            guard !links.isEmpty else { return nil }
            var process = ProcessDescriptors(pid: pid, name: nameOfProcess(pid) ?? "?")
            for link in links { process.note(target(of: "\(folder)/\(link)")) }
            return process
        }
    }

    private static func target(of link: String) -> Substring {
        var buffer = [CChar](repeating: 0, count: 64)
        // One less than there is room for, so that a zero ends it.
        return readlink(link, &buffer, buffer.count - 1) > 0 ? Substring(terminated(buffer)) : ""
    }

    private static func names(in folder: String) -> [Substring] {
        guard let stream = opendir(folder) else { return [] }
        defer { closedir(stream) }
        var names: [Substring] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                Substring(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if !name.hasPrefix(".") { names.append(name) }
        }
        return names
    }
}

/// The name of a process, fit for a terminal: its owner may choose any; nil if there is none.
func nameOfProcess(_ pid: Int32) -> String? {
    lines(of: "/proc/\(pid)/comm").first.map { printable(String($0)) }
}
