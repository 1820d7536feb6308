// SPDX-License-Identifier: GPL-2.0
/* A packet's bytes and headers. */
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <linux/unaligned.h>
#include <net/ip6_checksum.h>

#include "packet.h"

void lab_packet_start(struct lab_packet *packet)
{
	packet->pieces = 0;
	packet->len = 0;
	packet->mss = 0;
	packet->checksum = false;
	lab_seek(packet, 0);
}

bool lab_packet_add(struct lab_packet *packet, const void *at, u32 len)
{
	if (!len)
		return true;
	if (packet->pieces == LAB_PIECES_MAX)
		return false;
	packet->piece[packet->pieces++] = (struct lab_piece) { at, len };
	packet->len += len;
	return true;
}

void lab_seek(struct lab_packet *packet, u32 to)
{
	unsigned int i;

	for (i = 0; i < packet->pieces && to >= packet->piece[i].len; i++)
		to -= packet->piece[i].len;
	packet->cursor = i;
	packet->offset = to;
}

/* Returns the next contiguous bytes, at most @len; none after the packet's end. */
static u32 lab_next(struct lab_packet *packet, u32 len, const u8 **at)
{
	const struct lab_piece *piece;

	if (packet->cursor >= packet->pieces)
		return 0;
	piece = &packet->piece[packet->cursor];
	*at = piece->at + packet->offset;
	len = min(len, piece->len - packet->offset);
	packet->offset += len;
	if (packet->offset == piece->len) {
		packet->cursor++;
		packet->offset = 0;
	}
	return len;
}

void lab_copy(struct lab_packet *packet, void *to, u32 len)
{
	const u8 *at;
	u32 n;

	for (; len && (n = lab_next(packet, len, &at)); to += n, len -= n)
		memcpy(to, at, n);
}

__wsum lab_copy_sum(struct lab_packet *packet, void *to, u32 len)
{
	u32 n, done = 0;
	__wsum sum = 0;
	const u8 *at;

	for (; len && (n = lab_next(packet, len, &at)); done += n, len -= n)
		sum = csum_block_add(sum, csum_partial_copy_nocheck(at, to + done, n), done);
	return sum;
}

/* Returns the sum of @len bytes at the cursor. */
static __wsum lab_sum(struct lab_packet *packet, u32 len)
{
	u32 n, done = 0;
	__wsum sum = 0;
	const u8 *at;

	for (; len && (n = lab_next(packet, len, &at)); done += n, len -= n)
		sum = csum_block_add(sum, csum_partial(at, n, 0), done);
	return sum;
}

/* Sets l3 and ethertype; returns false if the frame is too short. */
static bool lab_parse_ethernet(struct lab_packet *packet, u32 n)
{
	const struct vlan_ethhdr *eth = (const void *)packet->header;

	if (n < ETH_HLEN)
		return false;
	packet->l3 = ETH_HLEN;
	packet->ethertype = eth->h_vlan_proto;
	if (packet->ethertype == htons(ETH_P_8021Q) && n >= VLAN_ETH_HLEN) {
		packet->l3 = VLAN_ETH_HLEN;
		packet->vlan = ntohs(eth->h_vlan_TCI);
		packet->ethertype = eth->h_vlan_encapsulated_proto;
	}
	return true;
}

/* Sets l4 and the fields from the IP header; returns false if there is no complete one. */
static bool lab_parse_ip(struct lab_packet *packet, u32 n)
{
	const void *l3 = packet->header + packet->l3;

	if (packet->ethertype == htons(ETH_P_IP)) {
		const struct iphdr *ip = l3;

		if (n < packet->l3 + sizeof(*ip) || ip->version != 4 || ip->ihl < 5)
			return false;
		packet->ip_version = 4;
		packet->ip_protocol = ip->protocol;
		packet->fragment = ip->frag_off & htons(IP_MF | IP_OFFSET);
		packet->l4 = packet->l3 + ip->ihl * 4;
		return true;
	}
	if (packet->ethertype == htons(ETH_P_IPV6)) {
		const struct ipv6hdr *ip = l3;

		if (n < packet->l3 + sizeof(*ip) || ip->version != 6)
			return false;
		packet->ip_version = 6;
		packet->ip_protocol = ip->nexthdr;
		packet->fragment = ip->nexthdr == NEXTHDR_FRAGMENT;
		packet->l4 = packet->l3 + sizeof(*ip);
		return true;
	}
	return false;
}

/* Sets l4_type and the length of all headers, if they are complete. */
static void lab_parse_l4(struct lab_packet *packet, u32 n)
{
	u32 end = packet->l4;

	if (packet->fragment)
		return;
	if (packet->ip_protocol == IPPROTO_TCP && n >= end + sizeof(struct tcphdr)) {
		u32 len = ((const struct tcphdr *)(packet->header + packet->l4))->doff * 4;

		if (len < sizeof(struct tcphdr) || n < end + len)
			return;
		packet->l4_type = LAB_L4_TCP;
		packet->header_len = end + len;
	} else if (packet->ip_protocol == IPPROTO_UDP && n >= end + sizeof(struct udphdr)) {
		packet->l4_type = LAB_L4_UDP;
		packet->header_len = end + sizeof(struct udphdr);
	}
}

void lab_parse(struct lab_packet *packet)
{
	u32 n = min(packet->len, LAB_HEADER_MAX);

	packet->l4 = 0;
	packet->vlan = 0;
	packet->ip_version = 0;
	packet->ip_protocol = 0;
	packet->fragment = false;
	packet->l4_type = LAB_L4_NONE;
	packet->ethertype = 0;
	packet->l3 = 0;
	packet->header_len = n;
	lab_seek(packet, 0);
	lab_copy(packet, packet->header, n);
	if (lab_parse_ethernet(packet, n) && lab_parse_ip(packet, n))
		lab_parse_l4(packet, n);
}

const u8 *lab_addresses(const struct lab_packet *packet, u32 *each)
{
	const u8 *l3 = packet->header + packet->l3;

	if (packet->ip_version == 6) {
		*each = sizeof(struct in6_addr);
		return l3 + offsetof(struct ipv6hdr, saddr);
	}
	*each = sizeof(struct in_addr);
	return l3 + offsetof(struct iphdr, saddr);
}

const u8 *lab_ports(const struct lab_packet *packet)
{
	return packet->header + packet->l4;
}

/* Returns the folded sum of the pseudo header and @sum. */
static __sum16 lab_pseudo(const struct lab_packet *packet, const u8 *header, u32 len, __wsum sum)
{
	const struct ipv6hdr *ip6 = (const void *)(header + packet->l3);
	const struct iphdr *ip4 = (const void *)ip6;

	if (packet->ip_version == 6)
		return csum_ipv6_magic(&ip6->saddr, &ip6->daddr, len, ip6->nexthdr, sum);
	return csum_tcpudp_magic(ip4->saddr, ip4->daddr, len, ip4->protocol, sum);
}

static __sum16 *lab_checksum_field(const struct lab_packet *packet, u8 *header)
{
	void *l4 = header + packet->l4;

	if (lab_is_tcp(packet))
		return &((struct tcphdr *)l4)->check;
	return &((struct udphdr *)l4)->check;
}

void lab_fill_checksum(const struct lab_packet *packet, u8 *header, u32 header_len,
		       __wsum payload, u32 payload_len)
{
	u32 l4_len = header_len - packet->l4;
	__sum16 *check = lab_checksum_field(packet, header);
	__wsum sum;

	*check = 0;
	sum = csum_partial(header + packet->l4, l4_len, 0);
	/* The headers of TCP and UDP have even lengths, so the payload begins at an even offset. */
	sum = csum_add(sum, payload);
	*check = lab_pseudo(packet, header, l4_len + payload_len, sum);
	if (!*check)
		*check = CSUM_MANGLED_0;
}

bool lab_checksums_right(struct lab_packet *packet)
{
	u8 *header = packet->header;
	u32 len = packet->len - packet->l4;

	if (packet->ip_version == 4) {
		struct iphdr *ip = (void *)(header + packet->l3);

		if (ip_fast_csum(ip, ip->ihl))
			return false;
	}
	if (packet->checksum || !lab_has_ports(packet))
		return true;
	if (packet->l4_type == LAB_L4_UDP && packet->ip_version == 4 &&
	    !*lab_checksum_field(packet, header))
		return true;
	/* The padding of a short frame is not part of the datagram. */
	if (packet->ip_version == 4)
		len = min(len, ntohs(((struct iphdr *)(header + packet->l3))->tot_len) -
				       (u32)(packet->l4 - packet->l3));
	else
		len = min(len, ntohs(((struct ipv6hdr *)(header + packet->l3))->payload_len));
	lab_seek(packet, packet->l4);
	return !lab_pseudo(packet, header, len, lab_sum(packet, len));
}

u32 lab_toeplitz(const u8 *key, const u8 *input, u32 len)
{
	u32 hash = 0, window = get_unaligned_be32(key), i;
	int bit;

	for (i = 0; i < len; i++) {
		for (bit = 7; bit >= 0; bit--) {
			if (input[i] >> bit & 1)
				hash ^= window;
			window = window << 1 | (key[i + 4] >> bit & 1);
		}
	}
	return hash;
}

bool lab_masked_equal(const void *one, const void *other, const void *mask, u32 len)
{
	const u8 *a = one, *b = other, *m = mask;
	u32 i;

	for (i = 0; i < len; i++)
		if ((a[i] ^ b[i]) & m[i])
			return false;
	return true;
}
