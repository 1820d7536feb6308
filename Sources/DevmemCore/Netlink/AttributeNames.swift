import CDevmem

/// The names of a request's attributes, used to report which one the kernel rejects.
package struct AttributeNames: Sendable {
    var name: String
    var children: [UInt16: AttributeNames]

    init(_ name: String = "", _ children: [UInt16: AttributeNames] = [:]) {
        self.name = name
        self.children = children
    }

    /// The offset after the headers of netlink and of generic netlink.
    private static let firstAttribute = NetlinkFrame.headerLength + cdm_genlmsghdr_size

    /// Returns the dotted name of the attribute at a byte offset of the request; nil if unknown.
    func path(at target: Int, in request: [UInt8]) -> String? {
        steps(to: target, in: request).map(dotted)
    }

    /// Returns the dotted name of an attribute missing from the request or from the nest at an
    /// offset.
    func path(missing type: UInt16, nest: Int?, in request: [UInt8]) -> String {
        dotted((nest.flatMap { steps(to: $0, in: request) } ?? []) + [type])
    }

    private func dotted(_ steps: [UInt16]) -> String {
        var names: [String] = []
        var node: AttributeNames? = self
        for step in steps {
            node = node?.children[step]
            names.append(node?.name ?? "#\(step)")
        }
        return names.joined(separator: ".")
    }

    /// Returns the attribute types from the outermost to the one at `target`.
    private func steps(to target: Int, in request: [UInt8]) -> [UInt16]? {
        guard request.count >= Self.firstAttribute else { return nil }
        var steps: [UInt16] = []
        var range = Self.firstAttribute..<request.count
        let bytes = request[...]
        while true {
            var offset = range.lowerBound
            var inner: Range<Int>?
            while offset + cdm_nlattr_size <= range.upperBound {
                let length = Int(bytes.number16(at: offset))
                guard length >= cdm_nlattr_size, offset + length <= range.upperBound else {
                    return nil
                }
                let type = bytes.number16(at: offset + cdm_nlattr_type)
                if target >= offset && target < offset + length {
                    steps.append(type & AttributeFlag.typeMask)
                    if target == offset { return steps }
                    let start = offset + cdm_nlattr_size
                    inner = type & AttributeFlag.nested != 0 ? start..<offset + length : nil
                    break
                }
                offset += alignedToFour(length)
            }
            guard let inner else { return steps.isEmpty ? nil : steps }
            range = inner
        }
    }
}
