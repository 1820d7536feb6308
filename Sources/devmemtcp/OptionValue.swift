import ArgumentParser

/// The value of an option or argument, which describes its valid form in error messages. Each type
/// defines its form once. The initializers below pass it to the argument parser.
protocol OptionValue: SendableMetatype {
    /// The valid form with an example, as a phrase that follows "it takes".
    static var form: String { get }

    /// Parses a value; nil if it is invalid.
    init?(argument: String)

    /// Returns what exactly is wrong with a text, or nil if it only has the wrong form.
    static func problem(with text: String) -> String?

    /// The default as the help shows it.
    var defaultValueDescription: String { get }

    /// How a shell completes a value.
    static var completion: CompletionKind { get }
}

extension OptionValue {
    static func problem(with text: String) -> String? { nil }
    var defaultValueDescription: String { "\(self)" }
    static var completion: CompletionKind { .default }

    /// Parses a value.
    ///
    /// - Throws: `OptionProblem` with the valid form.
    static func read(_ text: String) throws(OptionProblem) -> Self {
        if let value = Self(argument: text) { return value }
        throw OptionProblem(
            description: (problem(with: text).map { "\($0); " } ?? "") + "it takes \(form)")
    }
}

/// What is wrong with a value. The argument parser prints it after the option and the value.
struct OptionProblem: Error, Equatable, CustomStringConvertible {
    var description: String
}

extension Double {
    /// Parses a finite number of seconds. The argument parser's own message does not name the unit.
    static func readSeconds(_ text: String) throws(OptionProblem) -> Double {
        if let seconds = Double(text), seconds.isFinite { return seconds }
        throw OptionProblem(description: "it takes a number of seconds, such as 2.5")
    }
}

extension FixedWidthInteger {
    /// Parses an integer.
    static func readNumber(_ text: String) throws(OptionProblem) -> Self {
        if let number = Self(text) { return number }
        let isNumber = !text.isEmpty && text.allSatisfy { $0.isASCII && $0.isNumber }
        throw OptionProblem(
            description: (isNumber ? "it exceeds \(Self.max); " : "")
                + "it takes a whole number, such as 4")
    }
}

extension ArgumentHelp {
    /// Appends a default to the help, worded as the argument parser words it.
    fileprivate func with(default text: String) -> ArgumentHelp {
        var help = self
        help.abstract += " (default: \(text))"
        return help
    }
}

extension Option {
    /// A required option.
    init(name: NameSpecification = .long, help: ArgumentHelp? = nil) where Value: OptionValue {
        self.init(
            name: name, help: help, completion: Value.completion, transform: { try Value.read($0) })
    }

    /// An option with a default.
    init(
        wrappedValue: Value, name: NameSpecification = .long, help: ArgumentHelp? = nil
    ) where Value: OptionValue {
        self.init(
            wrappedValue: wrappedValue, name: name,
            help: (help ?? "").with(default: wrappedValue.defaultValueDescription),
            completion: Value.completion, transform: { try Value.read($0) })
    }

    /// An optional option.
    init<T: OptionValue>(
        name: NameSpecification = .long, help: ArgumentHelp? = nil
    ) where Value == T? {
        self.init(name: name, help: help, completion: T.completion, transform: { try T.read($0) })
    }

    /// An option that can be given more than once.
    init<T: OptionValue>(
        wrappedValue: [T], name: NameSpecification = .long, help: ArgumentHelp? = nil
    ) where Value == [T] {
        self.init(
            wrappedValue: wrappedValue, name: name, help: help, completion: T.completion,
            transform: { try T.read($0) })
    }
}

extension Option where Value == Double? {
    /// An optional number of seconds.
    init(name: NameSpecification = .long, help: ArgumentHelp? = nil) {
        self.init(name: name, help: help, transform: { try Double.readSeconds($0) })
    }
}

extension Option where Value == Double {
    /// A number of seconds with a default.
    init(wrappedValue: Double, name: NameSpecification = .long, help: ArgumentHelp? = nil) {
        self.init(
            wrappedValue: wrappedValue, name: name,
            help: (help ?? "").with(default: "\(wrappedValue)"),
            transform: { try Double.readSeconds($0) })
    }
}

extension Option where Value: FixedWidthInteger & SendableMetatype {
    /// A number with a default.
    init(wrappedValue: Value, name: NameSpecification = .long, help: ArgumentHelp? = nil) {
        self.init(
            wrappedValue: wrappedValue, name: name,
            help: (help ?? "").with(default: "\(wrappedValue)"),
            transform: { try Value.readNumber($0) })
    }
}

extension Option {
    /// An optional number.
    init<T: FixedWidthInteger & SendableMetatype & ExpressibleByArgument>(
        name: NameSpecification = .long, help: ArgumentHelp? = nil
    ) where Value == T? {
        self.init(name: name, help: help, transform: { try T.readNumber($0) })
    }
}

extension Argument {
    /// A required argument.
    init(help: ArgumentHelp? = nil) where Value: OptionValue {
        self.init(
            help: help, completion: Value.completion, transform: { try Value.read($0) })
    }

    /// One or more numbers.
    init<T: FixedWidthInteger & SendableMetatype & ExpressibleByArgument>(
        help: ArgumentHelp? = nil, completion: CompletionKind? = nil
    ) where Value == [T] {
        self.init(help: help, completion: completion, transform: { try T.readNumber($0) })
    }

    /// An optional argument.
    init<T: OptionValue>(help: ArgumentHelp? = nil) where Value == T? {
        self.init(help: help, completion: T.completion, transform: { try T.read($0) })
    }
}
