import DevmemCore

/// Samples of one name, in the text exposition format of Prometheus.
struct MetricFamily {
    /// The type, as the format names it.
    enum Kind: String {
        case counter, gauge
    }

    /// The name; that of a counter ends in `_total`.
    let name: String
    /// What the samples are, in a sentence.
    let help: String
    /// Whether the values only grow.
    let kind: Kind
    private var samples: [String] = []
    /// The samples so far: a reader refuses a text that has one of them twice.
    private var known: Set<String> = []

    init(_ name: String, _ help: String, _ kind: Kind = .gauge) {
        self.name = name
        self.help = help
        self.kind = kind
    }

    /// Adds a sample, unless its value is unknown, or one with the same labels is there.
    mutating func add(_ value: UInt64?, _ labels: KeyValuePairs<String, String?>) {
        let pairs = labels.compactMap { label, value in
            value.map { "\(label)=\"\(escaped($0, quotes: true))\"" }
        }
        guard let value, known.insert(pairs.joined(separator: ",")).inserted else { return }
        let selector = pairs.isEmpty ? "" : "{\(pairs.joined(separator: ","))}"
        samples.append("\(name)\(selector) \(value)\n")
    }

    /// Adds 1 for true and 0 for false.
    mutating func add(_ isTrue: Bool, _ labels: KeyValuePairs<String, String?>) {
        add(isTrue ? 1 : 0, labels)
    }

    /// Adds a count.
    mutating func add(count: Int, _ labels: KeyValuePairs<String, String?>) {
        add(UInt64(clamping: count), labels)
    }

    /// The lines; none without samples.
    var text: String {
        guard !samples.isEmpty else { return "" }
        return "# HELP \(name) \(escaped(help, quotes: false))\n# TYPE \(name) \(kind.rawValue)\n"
            + samples.joined()
    }
}

/// Escapes text as the exposition format wants it. Control characters are made visible first, because
/// the format knows no escape for them and passes them on to terminals.
private func escaped(_ text: String, quotes: Bool) -> String {
    text.unicodeScalars.reduce(into: "") { result, scalar in
        switch scalar {
        case "\n": result += "\\n"
        case "\"" where quotes: result += "\\\""
        case "\\": result += "\\\\"
        default: result += printable(String(scalar)).replacing("\\", with: "\\\\")
        }
    }
}
