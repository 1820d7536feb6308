// SPDX-License-Identifier: GPL-2.0
/* Splits a burst into the frames that a receiver gets. */
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <linux/unaligned.h>

#include "packet.h"

static bool lab_is_burst(const struct lab_packet *packet)
{
	return packet->mss && lab_has_ports(packet) && lab_payload_len(packet);
}

static void lab_set_ip_length(const struct lab_packet *packet, struct lab_frame *frame)
{
	u32 len = frame->header_len - packet->l3 + frame->len;
	void *l3 = frame->header + packet->l3;

	if (packet->ip_version == 6) {
		((struct ipv6hdr *)l3)->payload_len = htons(len - sizeof(struct ipv6hdr));
	} else {
		struct iphdr *ip = l3;

		ip->tot_len = htons(len);
		ip->id = htons(ntohs(ip->id) + frame->offset / packet->mss);
		ip->check = 0;
		ip->check = ip_fast_csum(ip, ip->ihl);
	}
}

static void lab_set_l4(const struct lab_packet *packet, struct lab_frame *frame)
{
	void *l4 = frame->header + packet->l4;

	if (lab_is_tcp(packet)) {
		struct tcphdr *tcp = l4;

		put_unaligned_be32(get_unaligned_be32(&tcp->seq) + frame->offset, &tcp->seq);
		if (!frame->first)
			tcp->cwr = 0;
		if (!frame->last) {
			tcp->fin = 0;
			tcp->psh = 0;
		}
	} else {
		((struct udphdr *)l4)->len = htons(sizeof(struct udphdr) + frame->len);
	}
}

static void lab_frame_make(const struct lab_packet *packet, u32 chunk, struct lab_frame *frame)
{
	u32 left = lab_payload_len(packet) - frame->offset;

	memcpy(frame->header, packet->header, packet->header_len);
	frame->header_len = packet->header_len;
	frame->first = !frame->offset;
	frame->segments = 1;
	frame->len = left;
	frame->last = true;
	if (!lab_is_burst(packet))
		return;
	frame->len = min(left, max_t(u32, chunk, packet->mss));
	frame->last = frame->len == left;
	frame->segments = DIV_ROUND_UP(frame->len, packet->mss);
	lab_set_ip_length(packet, frame);
	lab_set_l4(packet, frame);
}

void lab_frame_first(const struct lab_packet *packet, u32 chunk, struct lab_frame *frame)
{
	frame->offset = 0;
	lab_frame_make(packet, chunk, frame);
}

bool lab_frame_next(const struct lab_packet *packet, u32 chunk, struct lab_frame *frame)
{
	if (frame->last)
		return false;
	frame->offset += frame->len;
	lab_frame_make(packet, chunk, frame);
	return true;
}
