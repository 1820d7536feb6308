/// The kernels that compare and fill memory of a GPU.
///
/// Both work in words of 8 bytes at multiples of 8. A block of threads has one piece of memory, and
/// a thread every 64th word of it. It compares what it finds there with a word of a table that has
/// one for each place in the pattern, so that the memory is read once and nothing is shifted. What
/// differs from the first bytes of the first word or the last of the last one, which are not of
/// the piece, does not count.
///
/// The result in the GPU's memory is changed only if a byte is wrong. It has the number of wrong
/// bytes, and the least of their positions with the byte in the lowest 8 bits, so that one atomic
/// operation finds both.
///
/// The parameter: the addresses of the memory, of the pieces, of the table and of the result, and
/// the number of bytes in a period. A piece: `CUDAPiece`.
enum CUDAKernels {
    static let compare = "devmemtcp_compare"
    static let fill = "devmemtcp_fill"

    /// The number of threads in a block. With a piece of a page at most, a thread has at most 8 words,
    /// which it waits for one after the other: what hides that is many blocks at the same time.
    static let threads: UInt32 = 64

    /// PTX, which the driver compiles for its GPU. 7.5 is the compute capability of Turing, the
    /// first GPUs whose memory NVIDIA's open kernel modules export, and 6.3 the first version of PTX
    /// that knows it. Newer drivers and GPUs take both.
    static let text = """
        .version 6.3
        .target sm_75
        .address_size 64

        .visible .entry devmemtcp_compare(.param .align 8 .b8 work[40])
        {
            .reg .pred %is;
            .reg .b32 %at, %end, %head, %period, %phase, %step, %stride, %bits, %count;
            .reg .b64 %memory, %piece, %words, %result, %place, %address, %found, %expected;
            .reg .b64 %different, %shifted, %position, %wrong, %first;

            ld.param.u64 %memory, [work];
            ld.param.u64 %piece, [work+8];
            ld.param.u64 %words, [work+16];
            ld.param.u64 %result, [work+24];
            ld.param.u32 %period, [work+32];

            // The piece of this block.
            mov.u32 %bits, %ctaid.x;
            mul.wide.u32 %place, %bits, 32;
            add.u64 %piece, %piece, %place;
            ld.global.u64 %place, [%piece];
            add.u64 %memory, %memory, %place;
            ld.global.u64 %position, [%piece+8];
            ld.global.u32 %head, [%piece+16];
            ld.global.u32 %end, [%piece+20];
            ld.global.u32 %phase, [%piece+24];

            // Where this thread begins, and how far it goes at a time, in memory and in the pattern.
            mov.u32 %step, %ntid.x;
            shl.b32 %step, %step, 3;
            rem.u32 %stride, %step, %period;
            mov.u32 %at, %tid.x;
            shl.b32 %at, %at, 3;
            add.u32 %phase, %phase, %at;
            rem.u32 %phase, %phase, %period;
            mov.u64 %wrong, 0;
            mov.u64 %first, -1;

        round:
            setp.ge.u32 %is, %at, %end;
            @%is bra done;
            cvt.u64.u32 %place, %at;
            add.u64 %address, %memory, %place;
            ld.global.u64 %found, [%address];
            mul.wide.u32 %address, %phase, 8;
            add.u64 %address, %words, %address;
            ld.global.u64 %expected, [%address];
            xor.b64 %different, %found, %expected;
            setp.eq.u64 %is, %different, 0;
            @%is bra next;

            // What lies before or behind the piece does not count.
            sub.s32 %bits, %head, %at;
            max.s32 %bits, %bits, 0;
            shl.b32 %bits, %bits, 3;
            shr.u64 %different, %different, %bits;
            shl.b64 %different, %different, %bits;
            sub.s32 %bits, %at, %end;
            add.s32 %bits, %bits, 8;
            max.s32 %bits, %bits, 0;
            shl.b32 %bits, %bits, 3;
            shl.b64 %different, %different, %bits;
            shr.u64 %different, %different, %bits;
            setp.eq.u64 %is, %different, 0;
            @%is bra next;

            // The first wrong byte of the word: its position, then its value.
            brev.b64 %shifted, %different;
            clz.b64 %bits, %shifted;
            and.b32 %bits, %bits, 56;
            shr.u64 %shifted, %found, %bits;
            and.b64 %shifted, %shifted, 255;
            shr.u32 %bits, %bits, 3;
            cvt.u64.u32 %address, %bits;
            add.u64 %place, %place, %address;
            add.u64 %place, %place, %position;
            shl.b64 %place, %place, 8;
            or.b64 %place, %place, %shifted;
            min.u64 %first, %first, %place;

            // How many are wrong: the bits of each byte come together in its lowest.
            shr.u64 %shifted, %different, 4;
            or.b64 %different, %different, %shifted;
            shr.u64 %shifted, %different, 2;
            or.b64 %different, %different, %shifted;
            shr.u64 %shifted, %different, 1;
            or.b64 %different, %different, %shifted;
            and.b64 %different, %different, 0x0101010101010101;
            popc.b64 %count, %different;
            cvt.u64.u32 %shifted, %count;
            add.u64 %wrong, %wrong, %shifted;

        next:
            add.u32 %at, %at, %step;
            add.u32 %phase, %phase, %stride;
            setp.ge.u32 %is, %phase, %period;
            @%is sub.u32 %phase, %phase, %period;
            bra round;

        done:
            setp.eq.u64 %is, %wrong, 0;
            @%is bra out;
            red.global.add.u64 [%result], %wrong;
            red.global.min.u64 [%result+8], %first;
        out:
            ret;
        }

        .visible .entry devmemtcp_fill(.param .align 8 .b8 work[40])
        {
            .reg .pred %is;
            .reg .b32 %at, %end, %head, %period, %phase, %step, %stride, %spot, %byte;
            .reg .b64 %memory, %piece, %words, %place, %address, %expected;

            ld.param.u64 %memory, [work];
            ld.param.u64 %piece, [work+8];
            ld.param.u64 %words, [work+16];
            ld.param.u32 %period, [work+32];

            // The piece of this block.
            mov.u32 %byte, %ctaid.x;
            mul.wide.u32 %place, %byte, 32;
            add.u64 %piece, %piece, %place;
            ld.global.u64 %place, [%piece];
            add.u64 %memory, %memory, %place;
            ld.global.u32 %head, [%piece+16];
            ld.global.u32 %end, [%piece+20];
            ld.global.u32 %phase, [%piece+24];

            // Where this thread begins, and how far it goes at a time, in memory and in the pattern.
            mov.u32 %step, %ntid.x;
            shl.b32 %step, %step, 3;
            rem.u32 %stride, %step, %period;
            mov.u32 %at, %tid.x;
            shl.b32 %at, %at, 3;
            add.u32 %phase, %phase, %at;
            rem.u32 %phase, %phase, %period;

        round:
            setp.ge.u32 %is, %at, %end;
            @%is bra out;
            mul.wide.u32 %address, %phase, 8;
            add.u64 %address, %words, %address;
            ld.global.u64 %expected, [%address];
            cvt.u64.u32 %place, %at;
            add.u64 %address, %memory, %place;
            setp.lt.u32 %is, %at, %head;
            @%is bra part;
            add.u32 %spot, %at, 8;
            setp.gt.u32 %is, %spot, %end;
            @%is bra part;
            st.global.u64 [%address], %expected;
            bra next;

        // A word that does not lie in the piece as a whole, byte by byte.
        part:
            mov.u32 %byte, 0;
        one:
            add.u32 %spot, %at, %byte;
            setp.lt.u32 %is, %spot, %head;
            @%is bra skip;
            setp.ge.u32 %is, %spot, %end;
            @%is bra next;
            st.global.u8 [%address], %expected;
        skip:
            shr.u64 %expected, %expected, 8;
            add.u64 %address, %address, 1;
            add.u32 %byte, %byte, 1;
            setp.lt.u32 %is, %byte, 8;
            @%is bra one;

        next:
            add.u32 %at, %at, %step;
            add.u32 %phase, %phase, %stride;
            setp.ge.u32 %is, %phase, %period;
            @%is sub.u32 %phase, %phase, %period;
            bra round;

        out:
            ret;
        }
        """
}

/// A part of a range, for one block of threads.
struct CUDAPiece: Equatable {
    /// The size in bytes of a piece in memory.
    static let stored = 32
    /// The most bytes in one.
    static let most = 4096

    /// The offset of the first word in the memory.
    var offset: UInt64
    /// The position of that word's first byte in the stream; it may lie before 0, modulo 2 to the
    /// power of 64.
    var position: UInt64
    /// Where the piece begins, in bytes from the offset; less than 8.
    var head: UInt32
    /// Where it ends.
    var end: UInt32
    /// The place of the first word's first byte in the pattern.
    var phase: UInt32

    /// Writes it to memory as the kernels read it.
    func store(to memory: UnsafeMutableRawPointer) {
        memory.storeBytes(of: offset, as: UInt64.self)
        memory.storeBytes(of: position, toByteOffset: 8, as: UInt64.self)
        memory.storeBytes(of: head, toByteOffset: 16, as: UInt32.self)
        memory.storeBytes(of: end, toByteOffset: 20, as: UInt32.self)
        memory.storeBytes(of: phase, toByteOffset: 24, as: UInt32.self)
    }

    /// Cuts ranges into pieces. Pure.
    ///
    /// - Parameters:
    ///   - ranges: ranges of positive offsets.
    ///   - period: the number of bytes in the pattern.
    /// - Returns: the pieces, in the order of the ranges.
    static func pieces(of ranges: [PlacedRange], period: Int) -> [CUDAPiece] {
        var pieces: [CUDAPiece] = []
        pieces.reserveCapacity(ranges.count)
        for placed in ranges {
            var offset = placed.range.offset
            let end = offset + placed.range.count
            while offset < end {
                // They meet between words.
                let next = min(end, (offset / most + 1) * most)
                let head = offset % 8
                let position = placed.position + UInt64(offset - placed.range.offset)
                let phase = (Int(position % UInt64(period)) + period - head % period) % period
                pieces.append(
                    CUDAPiece(
                        offset: UInt64(offset - head), position: position &- UInt64(head),
                        head: UInt32(head), end: UInt32(next - offset + head),
                        phase: UInt32(phase)))
                offset = next
            }
        }
        return pieces
    }

    /// Returns the table for a pattern: the word from each place on. Pure.
    static func words(of bytes: [UInt8]) -> [UInt64] {
        bytes.indices.map { place in
            (0..<8).reduce(0) { word, byte in
                word | UInt64(bytes[(place + byte) % bytes.count]) << UInt64(8 * byte)
            }
        }
    }
}
