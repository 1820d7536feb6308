/// Encodes values as JSON on one line. Pure.
///
/// The encoder of Foundation examines each value for dates, URLs and the like, and took half of the
/// instructions that a session needs to start. This one knows the types of the standard library
/// only. Keys stand in the order in which a value encodes them.
package enum CompactJSON {
    /// Encodes a value.
    ///
    /// - Throws: `EncodingError` for a number that JSON cannot express, or an error of the value.
    package static func encode(_ value: some Encodable) throws -> [UInt8] {
        let node = Node()
        try value.encode(to: NodeEncoder(node: node))
        var bytes: [UInt8] = []
        node.write(to: &bytes)
        return bytes
    }
}

/// A value of the document, which containers fill in.
private final class Node {
    private enum Content {
        /// A number, true, false or null.
        case word(String)
        case text(String)
        case array([Node])
        case object([(key: String, value: Node)])
    }

    private var content = Content.object([])

    func set(word: String) { content = .word(word) }

    func set(text: String) { content = .text(text) }

    /// Makes it an array, unless it is one.
    func beginArray() {
        if case .array = content { return }
        content = .array([])
    }

    /// Makes it an object, unless it is one.
    func beginObject() {
        if case .object = content { return }
        content = .object([])
    }

    /// The number of elements of an array.
    var count: Int {
        guard case .array(let elements) = content else { return 0 }
        return elements.count
    }

    /// Adds an element to an array, and returns it.
    func append() -> Node {
        let node = Node()
        guard case .array(var elements) = content else { return node }
        // So that the array has one owner, and is not copied.
        content = .array([])
        elements.append(node)
        content = .array(elements)
        return node
    }

    /// Adds a member to an object, and returns its value.
    func add(_ key: String) -> Node {
        let node = Node()
        guard case .object(var members) = content else { return node }
        content = .object([])
        members.append((key, node))
        content = .object(members)
        return node
    }

    func write(to bytes: inout [UInt8]) {
        switch content {
        case .word(let word): bytes += word.utf8
        case .text(let text): Self.write(text, to: &bytes)
        case .array(let elements):
            bytes.append(UInt8(ascii: "["))
            for (index, element) in elements.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                element.write(to: &bytes)
            }
            bytes.append(UInt8(ascii: "]"))
        case .object(let members):
            bytes.append(UInt8(ascii: "{"))
            for (index, member) in members.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                Self.write(member.key, to: &bytes)
                bytes.append(UInt8(ascii: ":"))
                member.value.write(to: &bytes)
            }
            bytes.append(UInt8(ascii: "}"))
        }
    }

    private static func write(_ text: String, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes += [UInt8(ascii: "\\"), byte]
            case 0..<0x20:
                bytes += (byte < 0x10 ? "\\u000" : "\\u00").utf8
                bytes += String(byte, radix: 16).utf8
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}

/// Encodes one value into its node.
private struct NodeEncoder: Encoder {
    let node: Node
    var codingPath: [any CodingKey] { [] }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        node.beginObject()
        return KeyedEncodingContainer(ObjectContainer(node: node))
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        node.beginArray()
        return ArrayContainer(node: node)
    }

    func singleValueContainer() -> any SingleValueEncodingContainer { ValueContainer(node: node) }
}

private struct ObjectContainer<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let node: Node
    var codingPath: [any CodingKey] { [] }

    private func encoder(for key: String) -> NodeEncoder { NodeEncoder(node: node.add(key)) }

    func encodeNil(forKey key: Key) { node.add(key.stringValue).set(word: "null") }

    func encode<Value: Encodable>(_ value: Value, forKey key: Key) throws {
        try value.encode(to: encoder(for: key.stringValue))
    }

    func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type, forKey key: Key
    ) -> KeyedEncodingContainer<Nested> { encoder(for: key.stringValue).container(keyedBy: type) }

    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
        encoder(for: key.stringValue).unkeyedContainer()
    }

    func superEncoder() -> any Encoder { encoder(for: "super") }

    func superEncoder(forKey key: Key) -> any Encoder { encoder(for: key.stringValue) }
}

private struct ArrayContainer: UnkeyedEncodingContainer {
    let node: Node
    var codingPath: [any CodingKey] { [] }
    var count: Int { node.count }

    func encodeNil() { node.append().set(word: "null") }

    func encode<Value: Encodable>(_ value: Value) throws {
        try value.encode(to: NodeEncoder(node: node.append()))
    }

    func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type
    ) -> KeyedEncodingContainer<Nested> {
        NodeEncoder(node: node.append()).container(keyedBy: type)
    }

    func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer {
        NodeEncoder(node: node.append()).unkeyedContainer()
    }

    func superEncoder() -> any Encoder { NodeEncoder(node: node.append()) }
}

private struct ValueContainer: SingleValueEncodingContainer {
    let node: Node
    var codingPath: [any CodingKey] { [] }

    func encodeNil() { node.set(word: "null") }
    func encode(_ value: Bool) { node.set(word: value ? "true" : "false") }
    func encode(_ value: String) { node.set(text: value) }
    func encode(_ value: Double) throws { try setNumber(value) }
    func encode(_ value: Float) throws { try setNumber(value) }
    func encode(_ value: Int) { setInteger(value) }
    func encode(_ value: Int8) { setInteger(value) }
    func encode(_ value: Int16) { setInteger(value) }
    func encode(_ value: Int32) { setInteger(value) }
    func encode(_ value: Int64) { setInteger(value) }
    func encode(_ value: UInt) { setInteger(value) }
    func encode(_ value: UInt8) { setInteger(value) }
    func encode(_ value: UInt16) { setInteger(value) }
    func encode(_ value: UInt32) { setInteger(value) }
    func encode(_ value: UInt64) { setInteger(value) }
    func encode<Value: Encodable>(_ value: Value) throws {
        try value.encode(to: NodeEncoder(node: node))
    }

    private func setInteger(_ value: some BinaryInteger) { node.set(word: "\(value)") }

    private func setNumber(_ value: some BinaryFloatingPoint & LosslessStringConvertible) throws {
        guard value.isFinite else {
            throw EncodingError.invalidValue(
                value,
                EncodingError.Context(codingPath: [], debugDescription: "\(value) is no number"))
        }
        node.set(word: value.description)
    }
}
