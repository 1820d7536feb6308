import Glibc

/// The lines of a small file of sysfs or procfs; none if it cannot be read.
func lines(of path: String) -> [Substring] {
    guard let descriptor = try? Descriptor.open(path, O_RDONLY) else { return [] }
    var bytes = [UInt8](repeating: 0, count: 8192)
    let count = read(descriptor.rawValue, &bytes, bytes.count)
    guard count > 0 else { return [] }
    return String(decoding: bytes[..<count], as: UTF8.self).split(separator: "\n")
}

/// Memory in bytes that can be had without swapping, as the kernel estimates it
/// (Documentation/filesystems/proc.rst); nil if it does not say.
func availableMemory() -> UInt64? {
    let fields = lines(of: "/proc/meminfo").first { $0.hasPrefix("MemAvailable:") }?
        .split(separator: " ")
    guard let fields, fields.count == 3 else { return nil }
    return UInt64(fields[1]).map { $0 << 10 }
}
