/* SPDX-License-Identifier: GPL-2.0 */
/* Copying a packet of the sender's into an skb of the receiver's. */
#ifndef LABNIC_BUILD_H
#define LABNIC_BUILD_H

#include "labnic.h"

/* Where the copying has got to in the sender's packet. */
struct labnic_source {
	struct labnic_port	*end;
	const struct sk_buff	*skb;
	unsigned int		pos;		/* into the piece */
	int			frag;		/* -1: the linear part */
};

/* How one packet is to be delivered. */
struct labnic_delivery {
	struct page_pool	*pool;
	unsigned int		header;		/* bytes of header */
	unsigned int		linear;		/* bytes of payload beside it */
	unsigned int		payload;
	bool			split;
	bool			plain;		/* memory of no pool */
	bool			lost;		/* not split, but must be */
	bool			corrupt;
	bool			hold;
	bool			lose_linear;
	bool			stale;
	bool			reuse;
	bool			leak;
};

void labnic_source_skip(struct labnic_source *src, unsigned int len);
struct sk_buff *labnic_build(struct labnic_rxq *rq, struct labnic_source *src,
			     const void *header,
			     const struct labnic_delivery *how);

#endif
