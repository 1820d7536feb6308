import Glibc

/// The process that keeps an XDP program on an interface through a BPF link, which ip(8) cannot
/// detach; nil if there is none, or this process may not see it. Found in proc_pid_fdinfo(5), as
/// `bpf_link_show_fdinfo` of the kernel's kernel/bpf/syscall.c writes it.
func holderOfXDP(on interface: UInt32) -> Int32? {
    for pid in names(in: "/proc").compactMap({ Int32($0) }) {
        let folder = "/proc/\(pid)/fdinfo"
        for descriptor in names(in: folder)
        where isLink(lines(of: "\(folder)/\(descriptor)"), of: interface) {
            return pid
        }
    }
    return nil
}

/// Whether a descriptor's lines are those of an XDP link of an interface.
func isLink(_ lines: [Substring], of interface: UInt32) -> Bool {
    var isXDP = false
    var isHere = false
    for line in lines {
        let fields = line.split { $0 == ":" || $0.isWhitespace }
        guard fields.count == 2 else { continue }
        if fields[0] == "link_type" { isXDP = fields[1] == "xdp" }
        if fields[0] == "ifindex" { isHere = UInt32(fields[1]) == interface }
    }
    return isXDP && isHere
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
