// SPDX-License-Identifier: GPL-2.0
/* Sending: makes a packet from descriptors, and checks whether the device accepts it. */
#include "gve.h"

/* What the descriptors of a packet contain besides its addresses. */
struct gve_gathering {
	u32	buffers;
	bool	broken;
	bool	burst;
	u16	mss;
	u32	header_len, total;	/* of a burst */
};

static void gve_gather_burst(const struct gve_tx_slot *slot, struct gve_gathering *gathering)
{
	if (gathering->burst || gathering->buffers)
		gathering->broken = true;
	gathering->burst = slot->kind & GVE_TX_SEGMENT;
	gathering->mss = le16_to_cpu(slot->burst.mss) & GVE_TX_LEN;
	gathering->header_len = slot->burst.header_len;
	gathering->total = le32_to_cpu(slot->burst.total) & GVE_TX_TOTAL;
}

static void gve_gather_data(struct lab_device *dev, const struct gve_tx_slot *slot,
			    struct lab_packet *packet, struct gve_gathering *gathering)
{
	u32 len = le16_to_cpu(slot->len) & GVE_TX_LEN;
	const void *at = lab_memory(dev, le64_to_cpu(slot->address), len);

	gathering->buffers++;
	if (!at || !lab_packet_add(packet, at, len))
		gathering->broken = true;
	if (slot->kind & GVE_TX_CHECKSUM)
		packet->checksum = true;
}

/* No segment may use more buffers than the device accepts. Its headers count as one, and a
 * buffer counts for each segment that has a part of it.
 */
static bool gve_segments_fit(const struct lab_packet *packet, u32 headers, u32 mss)
{
	u32 buffers = 1, filled = 0, i;

	for (i = 0; i < packet->pieces; i++) {
		u32 len = packet->piece[i].len, skip = min(len, headers);

		headers -= skip;
		for (len -= skip; len;) {
			u32 part = min(len, mss - filled);

			if (++buffers > GVE_TX_MAX_BUFFERS)
				return false;
			len -= part;
			filled += part;
			if (filled == mss) {
				filled = 0;
				buffers = 1;
			}
		}
	}
	return true;
}

static bool gve_burst_is_right(struct lab_packet *packet, const struct gve_gathering *gathering)
{
	lab_parse(packet);
	return packet->checksum && lab_has_ports(packet) &&
	       gathering->mss >= GVE_TX_MIN_MSS && gathering->mss <= GVE_TX_MAX_MSS &&
	       gathering->header_len == packet->header_len &&
	       gathering->total && gathering->total == lab_payload_len(packet) &&
	       gve_segments_fit(packet, packet->header_len, gathering->mss);
}

static bool gve_is_right(struct lab_packet *packet, const struct gve_gathering *gathering)
{
	if (gathering->broken)
		return false;
	if (gathering->burst)
		return gve_burst_is_right(packet, gathering);
	return gathering->buffers <= GVE_TX_MAX_BUFFERS && packet->len >= GVE_TX_MIN_LEN &&
	       packet->len <= GVE_TX_MAX_LEN;
}

enum gve_found gve_tx_gather(struct lab_device *dev, const struct gve_tx_queue *queue, u32 tail,
			     struct lab_packet *packet, struct gve_sending *sending)
{
	struct gve_gathering gathering = {};
	u32 at = queue->head;

	lab_packet_start(packet);
	while (at != tail) {
		struct gve_tx_slot slot = queue->ring[at];

		at = (at + 1) & queue->mask;
		switch (slot.kind & GVE_TX_TYPE) {
		case GVE_TX_CONTEXT:
			continue;
		case GVE_TX_BURST:
			gve_gather_burst(&slot, &gathering);
			continue;
		case GVE_TX_DATA:
			gve_gather_data(dev, &slot, packet, &gathering);
			break;
		default:
			gathering.broken = true;
			continue;
		}
		if (!(slot.kind & GVE_TX_END))
			continue;
		*sending = (struct gve_sending) {
			.next = at, .tag = le16_to_cpu(slot.tag),
			.report = slot.kind & GVE_TX_REPORT,
		};
		if (!gve_is_right(packet, &gathering))
			return GVE_BROKEN;
		packet->mss = gathering.burst ? gathering.mss : 0;
		return GVE_PACKET;
	}
	return GVE_NOTHING;
}
