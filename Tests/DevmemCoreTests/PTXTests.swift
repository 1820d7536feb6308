import CUDAStandIn
import Glibc
import Testing

@testable import DevmemCore

/// The stand-in's interpreter of PTX, which the tests of the kernels rest on.
@Suite struct PTXTests {
    private static let head = ".version 6.3\n.target sm_75\n.address_size 64\n"

    /// A kernel of these lines.
    private static func kernel(_ lines: String) -> String {
        head + """
            .visible .entry some(.param .align 8 .b8 work[16])
            {
                .reg .pred %is;
                .reg .b32 %r, %s;
                .reg .b64 %a, %b;
            \(lines)
                ret;
            }
            """
    }

    /// Why a text is refused; nil if it is not.
    private func refusal(_ text: String) -> String? {
        var error = [CChar](repeating: 0, count: 128)
        guard let module = ptx_load(text, &error, error.count) else {
            return stringFromCBuffer(error)
        }
        ptx_free(module)
        return nil
    }

    @Test func theKernelsAreUnderstood() {
        #expect(refusal(CUDAKernels.text) == nil)
    }

    private static let wrong: [(String, String)] = [
        ("", "line 1: \".version 6.3\" is missing"),
        (".version 8.0\n", "line 1: \".version 6.3\" is missing"),
        (head + ".func f\n", "line 4: \".visible .entry\" is missing"),
        (kernel("fma.rn.f32 %r, %r, %r, %r;"), "line 9: unknown instruction fma.rn.f32"),
        (kernel("add.u32 %r, %r, %a;"), "line 9: %a has another size"),
        (kernel("add.u64 %r, %a, %a;"), "line 9: %r has another size"),
        (kernel("add.u32 %r, %r;"), "line 9: \",\" is missing"),
        (kernel("add.u32 %r, %r, 1"), "line 9: \";\" is missing"),
        (kernel("add.u32 1, %r, 1;"), "line 9: a register is missing"),
        (kernel("mov.u32 %x, 1;"), "line 9: there is no register %x"),
        (kernel("mov.u32 %tid.x, 1;"), "line 9: %tid.x cannot be written"),
        (kernel("ld.global.u32 %r, [%s];"), "line 9: %s is no address"),
        (kernel("ld.param.u64 %a, [work+12];"), "line 9: the parameter has no such bytes"),
        (kernel("ld.param.u64 %a, [work+16];"), "line 9: the parameter has no such bytes"),
        (kernel("ld.param.u64 %a, [play];"), "line 9: there is no parameter play"),
        (kernel("st.global.u64 [%a], %r;"), "line 9: %r has another size"),
        (kernel("@%r bra on;\non:"), "line 9: %r is no predicate"),
        (kernel("bra on;"), "line 11: there is no label on"),
        (kernel("on:\non:"), "line 10: on is there already"),
        (kernel(".reg .b32 %r;"), "line 9: %r is there already"),
        (kernel(".reg .f32 %f;"), "line 9: unknown type .f32"),
    ]

    @Test(arguments: wrong)
    func whatIsNotKnownIsRefused(text: String, error: String) {
        #expect(refusal(text) == error)
    }

    /// Runs lines in one thread whose parameter has these two numbers, of which the second is the
    /// address of where the result is written.
    private func run(_ lines: String, _ input: UInt64) throws -> (ptx_end, UInt64) {
        var error = [CChar](repeating: 0, count: 128)
        let text = Self.kernel("ld.param.u64 %a, [work];\n\(lines)")
        let module = try #require(
            ptx_load(text, &error, error.count), "\(stringFromCBuffer(error))")
        defer { ptx_free(module) }
        let kernel = try #require(ptx_find(module, "some"))
        #expect(ptx_parameter_size(kernel) == 16 && ptx_find(module, "other") == nil)
        return withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 1) { result in
            result[0] = 0
            let parameter = [input, UInt64(UInt(bitPattern: result.baseAddress))]
            let end = ptx_run(kernel, parameter, 1, 1) { address, size, _ in
                address == 8 ? nil : UnsafeMutableRawPointer(bitPattern: UInt(address))
            }
            return (end, result[0])
        }
    }

    private static let sums: [(String, UInt64, UInt64)] = [
        ("brev.b64 %b, %a;", 1, 1 << 63),
        ("clz.b64 %r, %a;\ncvt.u64.u32 %b, %r;", 0, 64),
        ("clz.b64 %r, %a;\ncvt.u64.u32 %b, %r;", 0x0100, 55),
        ("popc.b64 %r, %a;\ncvt.u64.u32 %b, %r;", 0xff01, 9),
        ("shl.b64 %b, %a, 64;", 7, 0),
        ("shr.u64 %b, %a, 63;", .max, 1),
        ("min.u64 %b, %a, 9;", .max, 9),
        ("add.u64 %b, %a, 1;", .max, 0),
        ("ld.param.u32 %r, [work];\nmax.s32 %r, %r, 0;\ncvt.u64.u32 %b, %r;", 0xffff_ffff, 0),
        ("ld.param.u32 %r, [work];\nsub.u32 %r, %r, 1;\ncvt.u64.u32 %b, %r;", 0, 0xffff_ffff),
        ("ld.param.u32 %r, [work];\nrem.u32 %r, %r, 7;\ncvt.u64.u32 %b, %r;", 9, 2),
        ("ld.param.u32 %r, [work];\nmul.wide.u32 %b, %r, %r;", 0xffff_ffff, 0xffff_fffe_0000_0001),
        ("setp.eq.u64 %is, %a, 3;\nmov.u64 %b, 1;\n@%is mov.u64 %b, 2;", 3, 2),
        ("setp.eq.u64 %is, %a, 3;\nmov.u64 %b, 1;\n@%is mov.u64 %b, 2;", 4, 1),
    ]

    @Test(arguments: sums)
    func instructionsDoWhatNVIDIASaysOfThem(lines: String, input: UInt64, result: UInt64) throws {
        let store = "\nld.param.u64 %a, [work+8];\nst.global.u64 [%a], %b;"
        #expect(try run(lines + store, input) == (ptx_done, result))
    }

    private static let failures: [(String, UInt64, ptx_end)] = [
        ("ld.global.u64 %b, [%a];", 8, ptx_illegal_address),
        ("ld.global.u64 %b, [%a+1];", 8, ptx_misaligned_address),
        ("mov.u32 %s, 0;\nrem.u32 %r, %r, %s;", 0, ptx_division_by_zero),
        ("again:\nbra again;", 0, ptx_endless),
    ]

    @Test(arguments: failures)
    func whatAGPUWouldNotDoFails(lines: String, input: UInt64, end: ptx_end) throws {
        #expect(try run(lines, input).0 == end)
    }
}
