extension DevmemError {
    /// What was being done when something failed, such as `bind-rx on eth1`.
    ///
    /// The text is for people; whoever tells failures apart looks at the kind.
    public struct Operation: Equatable, Sendable, ExpressibleByStringInterpolation,
        CustomStringConvertible
    {
        /// The requests whose failures are explained or told apart.
        public enum Kind: CaseIterable, Sendable {
            /// Binding a dma-buf to receive queues.
            case bindReceive
            /// Binding a dma-buf for sending.
            case bindTransmit
            /// Creating a queue of a virtual interface.
            case createQueue
            /// Receiving from a connection.
            case receive
            /// Returning tokens to the NIC.
            case returnTokens
            /// Sending on a connection.
            case send
            /// Adding a flow rule.
            case addFlowRule
            /// Deleting a flow rule.
            case deleteFlowRule
            /// Reading the flow rules of a NIC.
            case readFlowRules
            /// Adding an RSS context.
            case addContext
            /// Deleting an RSS context.
            case deleteContext
            /// Setting header split.
            case setHeaderSplit
            /// Attaching XDP or AF_XDP.
            case attachXDP
            /// Anything else.
            case other
        }

        /// Which request it is.
        public var kind: Kind
        /// The operation in words.
        public var text: String

        /// Makes an operation from its kind and its words.
        public init(_ kind: Kind, _ text: String) {
            self.kind = kind
            self.text = text
        }

        /// Makes an operation that nobody tells apart from others.
        public init(stringLiteral text: String) {
            self.init(.other, text)
        }

        /// The same operation on an interface, whose name ends the text.
        func on(_ interface: String) -> Operation {
            Operation(kind, "\(text) \(interface)")
        }

        /// The operation in words.
        public var description: String { text }
    }
}
