import Glibc

/// Reads the lines of a sysfs or procfs file; empty if it cannot be read.
package func lines(of path: String) -> [Substring] {
    guard let descriptor = try? Descriptor.open(path, O_RDONLY),
        let bytes = try? contents(of: descriptor, call: "read \(path)")
    else { return [] }
    return lines(in: bytes)
}

/// Returns the lines of a text that are not empty. Pure.
///
/// The text is split as bytes: in a `String` a carriage return and a newline are one character, and a
/// process may have a name that ends with the former.
func lines(in text: [UInt8]) -> [Substring] {
    text.split(separator: UInt8(ascii: "\n")).map { String(decoding: $0, as: UTF8.self)[...] }
}

/// Reads the numbers in a sysfs or procfs file.
///
/// - Throws: `DevmemError` of kind `system` if it cannot be read, `malformed` if it contains
///   anything else.
package func numbers(in path: String) throws(DevmemError) -> [UInt64] {
    let descriptor = try Descriptor.open(path, O_RDONLY)
    let bytes = try contents(of: descriptor, call: "read \(path)")
    let fields = String(decoding: bytes, as: UTF8.self).split { $0.isWhitespace }
    let numbers = fields.compactMap { UInt64($0) }
    guard !numbers.isEmpty, numbers.count == fields.count else {
        throw DevmemError(.malformed, call: "read \(path)", message: "it holds no numbers")
    }
    return numbers
}

/// Reads a text file.
///
/// - Throws: `DevmemError` of kind `system` if it cannot be read.
package func readTextFile(_ path: String) throws(DevmemError) -> String {
    let descriptor = try Descriptor.open(path, O_RDONLY)
    return String(decoding: try contents(of: descriptor, call: "read \(path)"), as: UTF8.self)
}

/// Reads a file from its current offset, up to a limit in bytes that no file of this program or the
/// kernel reaches.
///
/// - Throws: `DevmemError` of kind `system` if read(2) fails.
package func contents(
    of descriptor: borrowing Descriptor, limit: Int = 16 << 20, call: String
) throws(DevmemError) -> [UInt8] {
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 16384)
    while bytes.count < limit {
        let number = descriptor.rawValue
        let count = try retrying(call) { read(number, &chunk, chunk.count) }
        if count == 0 { break }
        bytes += chunk[..<count]
    }
    return bytes
}

/// Returns the memory in bytes that is available without swapping, as estimated by the kernel
/// (Documentation/filesystems/proc.rst); nil if unknown.
func availableMemory() -> UInt64? {
    let fields = lines(of: "/proc/meminfo").first { $0.hasPrefix("MemAvailable:") }?
        .split(separator: " ")
    guard let fields, fields.count == 3 else { return nil }
    return UInt64(fields[1]).map { $0 << 10 }
}

/// Lists the names in a procfs directory except hidden ones; empty if it cannot be read.
package func names(in folder: String) -> [Substring] {
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
