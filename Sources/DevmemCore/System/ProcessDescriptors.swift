import Glibc

/// The open descriptors of a process that may show that it holds a NIC's memory.
package struct ProcessDescriptors: Equatable, Sendable {
    /// Its process id.
    package var pid: Int32
    /// Its name (`/proc/PID/comm`).
    package var name: String
    /// The inodes of its sockets.
    package var sockets: Set<UInt64> = []
    /// Whether it has a dma-buf open.
    package var hasDmabuf = false

    /// Records the target of a link in `/proc/PID/fd`: `socket:[812]`, or `/dmabuf:` and the
    /// buffer's name (`dmabuffs_dname` of drivers/dma-buf/dma-buf.c).
    mutating func note(_ link: Substring) {
        if link.hasPrefix("/dmabuf:") {
            hasDmabuf = true
        } else if link.hasPrefix("socket:["), let inode = UInt64(link.dropFirst(8).dropLast()) {
            sockets.insert(inode)
        }
    }

    /// Lists the processes whose descriptors are visible, by pid; without CAP_SYS_PTRACE only the
    /// user's own.
    ///
    /// - Parameter own: whether to include this process.
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
        // Leave room for a terminating zero.
        return readlink(link, &buffer, buffer.count - 1) > 0
            ? Substring(stringFromCBuffer(buffer)) : ""
    }
}

/// Returns the name of a process, made safe to print because its owner may choose any; nil if there
/// is no such process.
func nameOfProcess(_ pid: Int32) -> String? {
    lines(of: "/proc/\(pid)/comm").first.map { printable(String($0)) }
}
