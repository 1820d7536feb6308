import Glibc

/// The first line of a small file of sysfs or procfs, without its line end; nil if there is none.
func firstLine(of path: String) -> String? {
    guard let descriptor = try? Descriptor.open(path, O_RDONLY) else { return nil }
    var bytes = [UInt8](repeating: 0, count: 256)
    let count = read(descriptor.rawValue, &bytes, bytes.count)
    guard count > 0 else { return nil }
    return String(decoding: bytes[..<count].prefix { $0 != 0x0a }, as: UTF8.self)
}
