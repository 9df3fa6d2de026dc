/*
 * limits.h - every limit we hold a peer to, with its unit and its reason. One list.
 */
#ifndef CORE_LIMITS_H
#define CORE_LIMITS_H

/* Text. */
#define JSON_MAX_DEPTH	    64		/* stack.md: recursion must be bounded */
#define JSON_MAX_NODES	    (1u << 20)	/* 20 MiB of index for the largest body */
#define JSON_MAX_FLOATS	    16384	/* of a request: shortest digits cost 4 us each */
#define SSE_EVENT_MAX_BYTES (16u << 20) /* interfaces.md 13: one upstream event */

/* Requests (interfaces.md H4). */
#define HEAD_MAX_BYTES	    (64u << 10)
#define HEAD_MAX_FIELDS	    100 /* more is nobody's SDK */
#define TARGET_MAX_BYTES    8192
#define BODY_MAX_BYTES	    (20u << 20)
#define CHUNK_EXT_MAX_BYTES 1024	/* chunk extensions carry nothing for us */
#define PARTS_MAX	    100		/* pictures, sounds and files of one request */
#define REQUEST_ARENA_BYTES (64u << 20) /* validation and canonical form of one body */

/* Answers. */
#define ANSWER_MAX_BYTES    (64u << 20)	 /* a non-streamed upstream body (R4: held whole) */
#define STREAM_HIGH_BYTES   (64u << 10)	 /* stack.md: pause the upstream transfer above */
#define STREAM_LOW_BYTES    (16u << 10)	 /* and resume below */
#define MEMORY_BUDGET_BYTES (512u << 20) /* bodies and answers of all loops; above: 503 */

/* Connections. */
#define CONN_MAX_PER_LOOP 10000
#define TLS_PAD_BYTES	  256 /* records to clients of an enclave are multiples of it (H6) */
#define ACCEPT_BATCH	  64  /* connections taken in one loop turn */

/* Deadlines, milliseconds (stack.md "Flow control"). */
#define TLS_HANDSHAKE_MS       5000
#define HEAD_MS		       10000 /* total, from the first byte on: slow senders */
#define BODY_MS		       60000 /* total */
#define BODY_MIN_RATE_BPS      1024  /* bytes a second, checked after the first 5 s */
#define WRITE_STALL_MS	       30000
#define KEEPALIVE_IDLE_MS      75000
#define SHUTDOWN_MS	       30000 /* running requests may finish (A3) */
#define SIGN_MS		       10000 /* the key holder's answer */
#define UPSTREAM_CONNECT_MS    10000 /* providers.md 2.5 */
#define UPSTREAM_FIRST_BYTE_MS 120000
#define UPSTREAM_GAP_MS	       60000
#define UPSTREAM_TOTAL_MS      600000

/* Receipts (R1). */
#define RECEIPT_MAX_BYTES     6144	 /* the whole compact JWS */
#define RECEIPT_FOREIGN_BYTES 128	 /* strings that come from strangers are cut here */
#define RECEIPT_RING_BYTES    (8u << 20) /* receipts kept for /v1/receipts, all loops */
#define CONFIG_MAX_BYTES      16384	 /* published configuration */

/* Key holder. */
#define SIGN_QUEUE_MAX	      1024  /* jobs waiting; above: refuse at admission */
#define KEY_MESSAGE_MAX_BYTES 32768 /* one datagram of the key holder protocol */

/* Enclave images (eif.md 1.2, 1.4). */
#define EIF_RAMDISKS_MAX_BYTES	(4ull << 30) /* all of them; also what one section may have */
#define EIF_KERNEL_MAX_BYTES	(256u << 20)
#define EIF_METADATA_MAX_BYTES	(1u << 20)
#define EIF_SIGNATURE_MAX_BYTES 32768
#define EIF_CMDLINE_MAX_BYTES	2047	    /* x86_64 kernels cut what is longer */
#define EIF_CMDLINE_ROOM_BYTES	512	    /* of them left to the hypervisor's words */
#define MANIFEST_MAX_BYTES	(16u << 20) /* text of a ramdisk's manifest */
#define MANIFEST_ARENA_BYTES	(64u << 20) /* and what is made of it */

/* Attestation (nitro-attestation.md 8: each document is a serialised call of the hypervisor). */
#define ATTEST_QUEUE_MAX       32    /* nonces waiting, all loops; above: 503 */
#define ATTEST_NONCE_MAX_BYTES 64    /* of the key holder protocol */
#define ATTEST_OWN_S	       240   /* our own document is made anew; R3: at most 10 minutes old */
#define ATTEST_RETRY_S	       10    /* and after a failure */
#define ATTEST_AGE_MAX_S       600   /* R3; older, it is not shown any more */
#define CLOCK_TRUST_MS	       30000 /* the system's clock against the module's, in an enclave */

#endif
