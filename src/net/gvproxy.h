/*
 * gvproxy.h - carries frames between the enclave's interface and gvproxy on the host, over one stream
 * that is made again whenever it breaks. Source: nitro-attestation.md 6.1.
 *
 * What comes from the host is not trusted: lengths are checked, frames go to the kernel's own network
 * stack as any Ethernet's would, and nothing else is done with them.
 */
#ifndef NET_GVPROXY_H
#define NET_GVPROXY_H

#include <stdint.h>

#include "sys/vsock.h"

enum {
	GVPROXY_PORT = 1024,
	GVPROXY_CONNECT_MS = 5000,
	/*
	 * gvproxy goes on behind its HTTP reader's back, and loses what that has read ahead: no frame
	 * may follow the request until it has done so, which its first frame shows, or time.
	 */
	GVPROXY_SETTLE_MS = 200,
	GVPROXY_AGAIN_MS = 1000, /* between two attempts */
	/* Silent so long, it is asked for its address (ARP); if it stays silent, it is given up. */
	GVPROXY_PROBE_MS = 5000,
	GVPROXY_SILENT_MS = 15000,
};

/* For ever; `tap` is of tap_open(), with this MTU. Says in the log when the link comes and goes. */
_Noreturn void gvproxy_carry(const struct vsock_address *host, int tap, uint16_t mtu);

#endif
