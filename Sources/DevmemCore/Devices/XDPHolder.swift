import Glibc

/// The process that keeps an XDP program on an interface through a BPF link, which ip(8) cannot
/// detach; nil if there is none, or this process may not see it. Found in proc_pid_fdinfo(5), as
/// `bpf_link_show_fdinfo` of the kernel's kernel/bpf/syscall.c writes it.
///
/// - Parameters:
///   - program: the program's number, zero if there are several.
///   - interface: the interface of this network namespace.
/// - Returns: its process id.
package func holderOfXDP(program: UInt32, on interface: UInt32) -> Int32? {
    var holders: [Int32] = []
    for pid in names(in: "/proc").compactMap({ Int32($0) }) {
        let folder = "/proc/\(pid)/fdinfo"
        let holds = names(in: folder).contains {
            isLink(lines(of: "\(folder)/\($0)"), of: interface, program: program)
        }
        if holds { holders.append(pid) }
    }
    return chooseHolder(holders, isProgramKnown: program != 0) {
        namespace(of: $0) == namespace(of: getpid())
    }
}

/// The one process that it can be. Another namespace may have an interface of the same number, and the
/// same program there; if that leaves more than one, nobody is named. Nor is a process of another
/// namespace where only the interface's number speaks for it, and not the program's.
func chooseHolder(
    _ holders: [Int32], isProgramKnown: Bool = true, isHere: (Int32) -> Bool
) -> Int32? {
    if holders.count < 2 && isProgramKnown { return holders.first }
    let here = holders.filter(isHere)
    return here.count == 1 ? here[0] : nil
}

/// Whether a descriptor's lines are those of an XDP link of an interface.
///
/// - Parameters:
///   - lines: the lines.
///   - interface: its number, which interfaces of other network namespaces may have too.
///   - program: the number of its program, which no other has; zero if that is not known.
/// - Returns: whether they are.
func isLink(_ lines: [Substring], of interface: UInt32, program: UInt32) -> Bool {
    var isXDP = false
    var isHere = false
    var isThis = program == 0
    for line in lines {
        let fields = line.split { $0 == ":" || $0.isWhitespace }
        guard fields.count == 2 else { continue }
        if fields[0] == "link_type" { isXDP = fields[1] == "xdp" }
        if fields[0] == "ifindex" { isHere = UInt32(fields[1]) == interface }
        if fields[0] == "prog_id", program != 0 { isThis = UInt32(fields[1]) == program }
    }
    return isXDP && isHere && isThis
}

/// The network namespace of a process: its inode, and the device that this is on; nil if it is gone.
private func namespace(of pid: Int32) -> [UInt64]? {
    var status = stat()
    guard stat("/proc/\(pid)/ns/net", &status) == 0 else { return nil }
    return [UInt64(status.st_dev), UInt64(status.st_ino)]
}

/// The names in a folder; none if it cannot be read.
private func names(in folder: String) -> [String] {
    guard let stream = opendir(folder) else { return [] }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
        let name = withUnsafeBytes(of: &entry.pointee.d_name) {
            String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
        }
        if name != "." && name != ".." { names.append(name) }
    }
    return names
}
