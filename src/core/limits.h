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

/* Payments. */
#define PAYMENT_MS	       15000 /* an answer of the facilitator (attacks.md PAY-16) */
#define PRICE_MS	       10000 /* one of the price source */
#define PRICE_ANSWER_MAX_BYTES (64u << 10)
#define FILINGS_MAX	       64	   /* proofs on their way, a loop; above: dropped */
#define FILING_MAX_BYTES       (15u << 10) /* one proof in a request's head: Node takes 16 KiB */

/* Receipts (R1). */
#define RECEIPT_MAX_BYTES     6144	 /* the whole compact JWS */
#define RECEIPT_FOREIGN_BYTES 128	 /* strings that come from strangers are cut here */
#define RECEIPT_RING_BYTES    (8u << 20) /* receipts kept for /v1/receipts, all loops */
#define CONFIG_MAX_BYTES      16384	 /* published configuration */

/* Payments (x402.md 1, 3; interfaces.md M8). */
#define X402_HEADER_MAX_BYTES	     16384 /* PAYMENT-SIGNATURE; real ones have 3 to 4 KB */
#define X402_MAX_DEPTH		     16	   /* of the JSON in it; real ones have 7 */
#define X402_MAX_NODES		     4096  /* and of answers to us; real ones have 150 */
#define X402_SIGNATURE_MAX_BYTES     4096  /* of a contract wallet; above: refused without a call */
#define FACILITATOR_ANSWER_MAX_BYTES 65536

/* Key holder. */
#define SIGN_QUEUE_MAX	      1024  /* jobs waiting; above: refuse at admission */
#define KEY_MESSAGE_MAX_BYTES 32768 /* one datagram of the key holder protocol */

/* Provisioning (P1, K3). */
#define PROVISION_MAX_BYTES	 16384 /* a body; the settings made of it; a JWE */
#define UNSEAL_PAUSE_MS		 1000  /* after one that could not be opened */
#define HEARTBEAT_INTERVAL_S	 900   /* opengradient.md 7, unless the operator says otherwise */
#define HEARTBEAT_INTERVAL_MAX_S 86400
#define HEARTBEAT_BUFFER_S	 300
#define HEARTBEAT_BUFFER_MAX_S	 1500 /* K3: the contract refuses what is older than 1800 s */

/* Heartbeat (opengradient.md 7). */
#define HEARTBEAT_POST_MS	   20000
#define HEARTBEAT_RETRY_MS	   10000
#define HEARTBEAT_ANSWER_MAX_BYTES 16384

/* The nitriding daemon in front of us (nitro-attestation.md 5.5). */
#define NITRIDING_MS		   5000
#define NITRIDING_PAUSE_MAX_MS	   10000
#define NITRIDING_ANSWER_MAX_BYTES 4096

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

/* Money (interfaces.md 8, x402.md 5.1). */
#define LEDGER_SESSIONS_MAX	 10000 /* of the policy: 130 MiB when all are used */
#define LEDGER_PAYLOAD_MAX_BYTES 12288 /* a payment payload; the largest seen are 4 KiB */
#define LEDGER_SPENT_PER_SESSION 8     /* permits remembered; above: 503 */
#define LEDGER_BARRED_MAX	 4096  /* payers; the one who is free soonest makes room */
#define LEDGER_VALUE_CAPS	 100   /* M8: unsettled value, in largest caps */
#define LEDGER_PAYER_CAPS	 10    /* of it, one payer's: clients pay each request by itself */
#define PERMIT_SLACK_S		 60    /* M7: clocks differ; also how long a nonce is remembered */
#define PERMIT_LAST_S		 6     /* facilitators want so much before the deadline */
#define SESSION_IDLE_S		 100   /* x402.md 5: then it is settled */
#define SESSION_MARGIN_S	 60    /* before the deadline: no new work, settle */
#define SESSION_FORCE_S		 20    /* before the deadline: settle without what is in flight */
#define SESSION_EVICT_S		 5     /* without charge or request: it may make room for another */
#define PAYER_BARRED_S		 86400 /* after a settlement that failed by his fault */
#define SETTLE_PERIOD_MS	 1000  /* between looks at the ledger */
#define SETTLE_CALLS_MAX	 16    /* on the wire at once */
#define SETTLE_REFUSALS_MAX	 4     /* of one permit; then it waits to be written off */
#define SETTLE_BACKOFF_MAX_S	 30    /* 1, 2, 4, ... up to this; a Retry-After up to twice it */
#define SETTLE_ASK_S		 10    /* after a lost answer: a block or two later */
#define SETTLE_SHUTDOWN_MS	 120000 /* A3 */

#endif
