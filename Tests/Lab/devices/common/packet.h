/* SPDX-License-Identifier: GPL-2.0 */
/* A packet on a wire: its bytes, its headers, and its frames. */
#ifndef LAB_PACKET_H
#define LAB_PACKET_H

#include <linux/types.h>
#include <net/checksum.h>

/* Longer headers are not parsed. */
#define LAB_HEADER_MAX	256
/* A burst has up to 17 fragments; a driver may use more descriptors. */
#define LAB_PIECES_MAX	80

enum lab_l4 { LAB_L4_NONE, LAB_L4_TCP, LAB_L4_UDP };

struct lab_piece {
	const u8	*at;
	u32		len;
};

struct lab_packet {
	/* The sender fills these in. */
	struct lab_piece piece[LAB_PIECES_MAX];
	unsigned int	pieces;
	u32		len;		/* of all parts */
	u16		mss;		/* not 0: a burst, to be split so */
	bool		checksum;	/* the device computes TCP's or UDP's checksum */
	/* The wire does. */
	bool		last_chance;	/* see lab_kind.receive */
	bool		corrupt, unsplit;	/* faults: flip a payload bit; do not split */

	/* lab_parse() does. */
	u8		header[LAB_HEADER_MAX];
	u32		header_len;	/* through TCP's or UDP's; otherwise the bytes in header */
	u16		l3, l4;		/* offsets in header */
	u16		vlan;		/* the tag, 0 without one */
	__be16		ethertype;	/* after the tag */
	u8		ip_version;	/* 4, 6; 0: neither */
	u8		ip_protocol;
	bool		fragment;	/* an IP fragment: no ports */
	enum lab_l4	l4_type;

	/* The position at which lab_copy() continues. */
	unsigned int	cursor;
	u32		offset;
};

/* Clears a packet for a sender to fill. */
void lab_packet_start(struct lab_packet *packet);
/* Adds bytes; false if there are too many parts. Adds nothing for 0 bytes. */
bool lab_packet_add(struct lab_packet *packet, const void *at, u32 len);

/* Parses the headers. */
void lab_parse(struct lab_packet *packet);

static inline bool lab_is_tcp(const struct lab_packet *packet)
{
	return packet->l4_type == LAB_L4_TCP;
}

static inline bool lab_has_ports(const struct lab_packet *packet)
{
	return packet->l4_type != LAB_L4_NONE;
}

static inline u32 lab_payload_len(const struct lab_packet *packet)
{
	return packet->len - packet->header_len;
}

/* The source address, followed by the destination address; 4 or 16 bytes each. */
const u8 *lab_addresses(const struct lab_packet *packet, u32 *each);
/* The source port, followed by the destination port. */
const u8 *lab_ports(const struct lab_packet *packet);

/* Whether a receiver finds the checksums of IP and of TCP or UDP right.
 * Those that the sender leaves to its device are right.
 */
bool lab_checksums_right(struct lab_packet *packet);

/* Moves to a byte of the packet, then copies from there. */
void lab_seek(struct lab_packet *packet, u32 to);
void lab_copy(struct lab_packet *packet, void *to, u32 len);
/* Copies, and returns the checksum of the bytes as if they began at an even offset. */
__wsum lab_copy_sum(struct lab_packet *packet, void *to, u32 len);

/* One frame of a packet: the whole packet, or a part of a burst. */
struct lab_frame {
	u8		header[LAB_HEADER_MAX];
	u32		header_len;
	u32		offset;		/* its payload's offset in the packet's payload */
	u32		len;		/* of its payload */
	u32		segments;	/* the number of segments of mss bytes in it */
	bool		first, last;
};

/* Iterates over the frames of a packet, each with at most @chunk bytes of payload: the
 * packet's mss, or a multiple of it for coalesced frames. A packet that is not a burst
 * is one frame. lab_frame_next() is false after the last one.
 */
void lab_frame_first(const struct lab_packet *packet, u32 chunk, struct lab_frame *frame);
bool lab_frame_next(const struct lab_packet *packet, u32 chunk, struct lab_frame *frame);

/* Writes the checksum of TCP or UDP into a frame's header, given that of its payload. */
void lab_fill_checksum(const struct lab_packet *packet, u8 *header, u32 header_len,
		       __wsum payload, u32 payload_len);

/* The Toeplitz hash; the key is at least 4 bytes longer than the input. */
u32 lab_toeplitz(const u8 *key, const u8 *input, u32 len);
/* Whether @len bytes are equal in the bits of the mask. */
bool lab_masked_equal(const void *one, const void *other, const void *mask, u32 len);

#endif
