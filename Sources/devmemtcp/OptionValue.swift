import ArgumentParser

/// A value on the command line that says what it may be when it is something else. For each type of
/// value there is one place that knows; options take it by the initializers below, as they take the
/// types that the parser of arguments knows.
protocol OptionValue: SendableMetatype {
    /// What it may be, and an example: a phrase that follows "it takes".
    static var form: String { get }

    /// Reads it; nil if it is something else.
    init?(argument: String)

    /// What is wrong with a text, where more can be said than that it has another form.
    static func problem(with text: String) -> String?

    /// How a default is shown in the help.
    var defaultValueDescription: String { get }
}

extension OptionValue {
    static func problem(with text: String) -> String? { nil }
    var defaultValueDescription: String { "\(self)" }

    /// Reads it, or says what it may be.
    static func read(_ text: String) throws(OptionProblem) -> Self {
        if let value = Self(argument: text) { return value }
        throw OptionProblem(
            description: (problem(with: text).map { "\($0); " } ?? "") + "it takes \(form)")
    }
}

/// What is wrong with a value, as the parser of arguments prints it behind option and value.
struct OptionProblem: Error, Equatable, CustomStringConvertible {
    var description: String
}

extension Double {
    /// What a number of seconds may be: the parser knows only that it is a number.
    static func readSeconds(_ text: String) throws(OptionProblem) -> Double {
        if let seconds = Double(text), seconds.isFinite { return seconds }
        throw OptionProblem(description: "it takes a number of seconds, such as 2.5")
    }
}

extension FixedWidthInteger {
    /// A count or a number of something.
    static func readNumber(_ text: String) throws(OptionProblem) -> Self {
        if let number = Self(text) { return number }
        let isNumber = !text.isEmpty && text.allSatisfy { $0.isASCII && $0.isNumber }
        throw OptionProblem(
            description: (isNumber ? "it exceeds \(Self.max); " : "")
                + "it takes a whole number, such as 4")
    }
}

extension ArgumentHelp {
    /// The help with a default behind it, in the words of the parser of arguments.
    fileprivate func with(default text: String) -> ArgumentHelp {
        var help = self
        help.abstract += " (default: \(text))"
        return help
    }
}

extension Option {
    /// An option that has to be given.
    init(name: NameSpecification = .long, help: ArgumentHelp? = nil) where Value: OptionValue {
        self.init(name: name, help: help, transform: { try Value.read($0) })
    }

    /// An option with a default.
    init(
        wrappedValue: Value, name: NameSpecification = .long, help: ArgumentHelp? = nil
    ) where Value: OptionValue {
        self.init(
            wrappedValue: wrappedValue, name: name,
            help: (help ?? "").with(default: wrappedValue.defaultValueDescription),
            transform: { try Value.read($0) })
    }

    /// An option that may be left out.
    init<T: OptionValue>(
        name: NameSpecification = .long, help: ArgumentHelp? = nil
    ) where Value == T? {
        self.init(name: name, help: help, transform: { try T.read($0) })
    }

    /// An option that may be given more than once.
    init<T: OptionValue>(
        wrappedValue: [T], name: NameSpecification = .long, help: ArgumentHelp? = nil
    ) where Value == [T] {
        self.init(wrappedValue: wrappedValue, name: name, help: help, transform: { try T.read($0) })
    }
}

extension Option where Value == Double? {
    /// Seconds, which may be left out.
    init(name: NameSpecification = .long, help: ArgumentHelp? = nil) {
        self.init(name: name, help: help, transform: { try Double.readSeconds($0) })
    }
}

extension Option where Value == Double {
    /// Seconds, with a default.
    init(wrappedValue: Double, name: NameSpecification = .long, help: ArgumentHelp? = nil) {
        self.init(
            wrappedValue: wrappedValue, name: name,
            help: (help ?? "").with(default: "\(wrappedValue)"),
            transform: { try Double.readSeconds($0) })
    }
}

extension Option where Value: FixedWidthInteger & SendableMetatype {
    /// A number, with a default.
    init(wrappedValue: Value, name: NameSpecification = .long, help: ArgumentHelp? = nil) {
        self.init(
            wrappedValue: wrappedValue, name: name,
            help: (help ?? "").with(default: "\(wrappedValue)"),
            transform: { try Value.readNumber($0) })
    }
}

extension Option {
    /// A number, which may be left out.
    init<T: FixedWidthInteger & SendableMetatype & ExpressibleByArgument>(
        name: NameSpecification = .long, help: ArgumentHelp? = nil
    ) where Value == T? {
        self.init(name: name, help: help, transform: { try T.readNumber($0) })
    }
}

extension Argument {
    /// An argument that has to be given.
    init(help: ArgumentHelp? = nil) where Value: OptionValue {
        self.init(help: help, transform: { try Value.read($0) })
    }

    /// Numbers, at least one.
    init<T: FixedWidthInteger & SendableMetatype & ExpressibleByArgument>(
        help: ArgumentHelp? = nil
    ) where Value == [T] {
        self.init(help: help, transform: { try T.readNumber($0) })
    }

    /// An argument that may be left out.
    init<T: OptionValue>(help: ArgumentHelp? = nil) where Value == T? {
        self.init(help: help, transform: { try T.read($0) })
    }
}
