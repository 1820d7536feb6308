extension DevmemError {
    /// The operation that failed, such as `bind-rx on eth1`.
    ///
    /// The text is for people; programs distinguish operations by their kind.
    public struct Operation: Equatable, Sendable, ExpressibleByStringInterpolation,
        CustomStringConvertible
    {
        /// The operations whose failures are explained or distinguished.
        public enum Kind: CaseIterable, Sendable {
            /// Binding a dma-buf to receive queues.
            case bindReceive
            /// Binding a dma-buf for sending.
            case bindTransmit
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
            /// Leasing a queue to a virtual interface.
            case leaseQueue
            /// Any other operation.
            case other
        }

        /// The kind of the operation.
        public var kind: Kind
        /// The operation in words.
        public var text: String

        /// Creates an operation from its kind and its text.
        public init(_ kind: Kind, _ text: String) {
            self.kind = kind
            self.text = text
        }

        /// Creates an operation of kind `other`.
        public init(stringLiteral text: String) {
            self.init(.other, text)
        }

        /// Returns this operation with an interface's name appended to the text.
        func on(_ interface: String) -> Operation {
            Operation(kind, "\(text) \(interface)")
        }

        /// The operation in words.
        public var description: String { text }
    }
}
